package kinds

import (
	"bytes"
	"cmp"

	"starling/lib/conncount"
	"starling/zone"
)

// This file hands counts over to a zone that replaces this one while its connections live: a reload can make a zone
// shared, or give it another size.

// Follow lets an heir count what this zone counts: now, and with each Enter and Leave from now on. Another heir
// replaces it.
func (c *Conn) Follow(heir conncount.Heir) {
	for number := range zone.Shards {
		sh := c.store.ShardNumber(number)
		sh.Lock()
		c.heirs[number] = heir
		for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
			if !sh.Live(slot) {
				continue
			}
			r := sh.At(slot)
			r.Born = 0
			if own := ownOf(r); own > 0 && heir.Add(sh.Key(r), own) {
				r.Born = own
			}
		}
		sh.Unlock()
	}
}

// Add is that of conncount.Heir.
func (c *Conn) Add(key []byte, n uint32) bool {
	sh := c.store.Shard(zone.KeyHash(key))
	sh.Lock()
	slot, r := sh.Find(key)
	if r == nil {
		if slot, r = c.insert(sh, key); r == nil {
			sh.Unlock()
			return false
		}
	}
	c.count(sh, slot, r, int64(n))
	if heir := c.heirs[sh.Number()]; heir != nil && heir.Add(key, n) {
		r.Born += n
	}
	first := sh.MarkDirty(slot, r)
	sh.Unlock()
	if first {
		c.store.Wake(false)
	}
	return true
}

// Take is that of conncount.Heir.
func (c *Conn) Take(key []byte) {
	sh := c.store.Shard(zone.KeyHash(key))
	sh.Lock()
	first := false
	if slot, r := sh.Find(key); r != nil && ownOf(r) > 0 {
		first = c.release(sh, slot, r)
	}
	sh.Unlock()
	if first {
		c.store.Wake(false)
	}
}

// release takes one from the own count of a locked record, and from that of the heir. It reports whether to wake the
// flusher.
func (c *Conn) release(sh *zone.Shard, slot zone.Slot, r *zone.Record) (first bool) {
	c.count(sh, slot, r, -1)
	if r.Born > ownOf(r) {
		r.Born--
		c.heirs[sh.Number()].Take(sh.Key(r))
	}
	return sh.MarkDirty(slot, r)
}

// Held is a key with its counts.
type Held struct {
	Key      []byte
	All, Own uint32 // at all nodes, and at this one
}

// before orders counts from the largest on; keys with the same count are in their own order.
func (h Held) before(other Held) int {
	return cmp.Or(cmp.Compare(other.All, h.All), bytes.Compare(h.Key, other.Key))
}

func (h Held) copied() Held {
	h.Key = bytes.Clone(h.Key)
	return h
}

// Fullest returns the n keys with the largest counts, the largest first.
func (c *Conn) Fullest(n int) []Held {
	return fullest(c.store, n, func(sh *zone.Shard, r *zone.Record) (Held, bool) {
		all := allOf(r)
		return Held{sh.Key(r), all, ownOf(r)}, all > 0
	})
}

// Count returns the counts of a key.
func (c *Conn) Count(key []byte) (all, own uint32) {
	sh := c.store.Shard(zone.KeyHash(key))
	sh.Lock()
	defer sh.Unlock()
	if _, r := sh.Find(key); r != nil {
		return allOf(r), ownOf(r)
	}
	return 0, 0
}
