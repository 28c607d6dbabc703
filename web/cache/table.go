package cache

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// table finds entries by key, and has their memory. A lookup of a key that is not there, which is most of what a miss
// costs, reads one cache line of slots; a map reads several. Entries that are removed are used again, so the memory is
// that of the most entries there ever were, as in nginx.
//
// The slots are open addressing with linear probing and backward-shift deletion (Knuth, The Art of Computer
// Programming, volume 3, 6.4, algorithm R). They are split into shards, so that growing one takes no time that a
// request could notice. The hash is seeded, because strangers choose the keys.
type table struct {
	seeds  [2]uint64
	shards [1 << shardBits]shard
	chunks [][]entry
	free   *entry // linked by older
	made   int    // entries, in use or free
	count  int    // of those in use
}

// shard is a part of the slots; their number is a power of two, or 0.
type shard struct {
	slots []slot
	used  int
}

// slot is 0 if it is empty, otherwise half of a hash and the number of an entry, counted from 1.
type slot uint64

const (
	shardBits    = 8
	chunkEntries = 256
	firstSlots   = 8
)

func newTable() table { return table{seeds: [2]uint64{rand.Uint64(), rand.Uint64()}} }

func (s slot) at() int { return int(uint32(s)) - 1 }

// home is where a slot belongs in a shard.
func (s slot) home(mask int) int { return int(s>>32) & mask }

// find returns the shard of a key, and the slot without its entry. The hash is the mixer of wyhash (Wang Yi).
func (t *table) find(key *Key) (*shard, slot) {
	high, low := bits.Mul64(
		binary.LittleEndian.Uint64(key[:8])^t.seeds[0],
		binary.LittleEndian.Uint64(key[8:])^t.seeds[1],
	)
	h := high ^ low
	return &t.shards[h>>(64-shardBits)], slot(h << 32)
}

func (t *table) entry(s slot) *entry { return &t.chunks[s.at()/chunkEntries][s.at()%chunkEntries] }

// get returns the entry of a key, nil if there is none.
func (t *table) get(key *Key) *entry {
	in, want := t.find(key)
	mask := len(in.slots) - 1
	if mask < 0 {
		return nil
	}
	for i := want.home(mask); in.slots[i] != 0; i = (i + 1) & mask {
		if s := in.slots[i]; s>>32 == want>>32 {
			if e := t.entry(s); e.key == *key {
				return e
			}
		}
	}
	return nil
}

// add returns a new entry of a key that has none.
func (t *table) add(key *Key) *entry {
	e := t.free
	if e != nil {
		t.free, e.older = e.older, nil
	} else {
		if t.made == len(t.chunks)*chunkEntries {
			t.chunks = append(t.chunks, make([]entry, chunkEntries))
		}
		t.made++
		e = t.entry(slot(t.made))
		e.number = uint32(t.made)
	}
	t.count++
	e.key = *key
	in, s := t.find(key)
	if in.used >= len(in.slots)*5/8 {
		in.grow()
	}
	in.put(s | slot(e.number))
	return e
}

// put puts a slot into the first empty one from its home on.
func (in *shard) put(s slot) {
	mask := len(in.slots) - 1
	i := s.home(mask)
	for in.slots[i] != 0 {
		i = (i + 1) & mask
	}
	in.slots[i] = s
	in.used++
}

func (in *shard) grow() {
	old := in.slots
	*in = shard{slots: make([]slot, max(firstSlots, 2*len(old)))}
	for _, s := range old {
		if s != 0 {
			in.put(s)
		}
	}
}

// remove removes an entry, whose memory is then another's.
func (t *table) remove(e *entry) {
	in, s := t.find(&e.key)
	s |= slot(e.number)
	mask := len(in.slots) - 1
	i := s.home(mask)
	for in.slots[i] != s {
		i = (i + 1) & mask
	}
	// Those that follow move up, unless that is before their home.
	for j := (i + 1) & mask; in.slots[j] != 0; j = (j + 1) & mask {
		if home := in.slots[j].home(mask); (j-home)&mask >= (j-i)&mask {
			in.slots[i] = in.slots[j]
			i = j
		}
	}
	in.slots[i] = 0
	in.used--
	*e = entry{number: e.number, links: links[entry]{older: t.free}}
	t.free = e
	t.count--
}
