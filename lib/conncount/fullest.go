package conncount

import (
	"bytes"
	"slices"
)

// Held is a key and its count.
type Held struct {
	Key   []byte
	Count uint32
}

// before orders counts from the largest on; keys with the same count are in their own order.
func (h Held) before(other Held) int {
	switch {
	case h.Count > other.Count:
		return -1
	case h.Count < other.Count:
		return 1
	}
	return bytes.Compare(h.Key, other.Key)
}

// Fullest returns the n keys with the largest counts, the largest first. It looks at every key, one shard at a time.
func (z *Zone) Fullest(n int) []Held {
	var all []Held
	for i := range z.shards {
		all = z.shards[i].fullest(all, n)
	}
	return all
}

// fullest merges the keys of a shard into a sorted list of at most n.
func (s *shard) fullest(all []Held, n int) []Held {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.records {
		r := &s.records[i]
		if r.count == 0 || len(all) == n && r.count < all[n-1].Count {
			continue
		}
		h := Held{r.key(), r.count}
		at, _ := slices.BinarySearchFunc(all, h, Held.before)
		if at == n {
			continue
		}
		h.Key = bytes.Clone(h.Key) // the record is reused
		if all = slices.Insert(all, at, h); len(all) > n {
			all = all[:n]
		}
	}
	return all
}

// Memory is the use of a zone's bytes.
type Memory struct {
	UsedBytes int64 // of the budget
	Keys      int64
	Refused   uint64 // new keys for which there was no room
}

// Memory returns the figures of the zone's bytes.
func (z *Zone) Memory() Memory {
	return Memory{UsedBytes: z.used.Load(), Keys: int64(z.Keys()), Refused: z.full.Load()}
}
