package kinds

import (
	"starling/lib/clock"
	"starling/zone"
)

// This file follows the nodes that tell their counts. A count is only worth as much as the node that has it: when a
// node is no longer heard, its connections are gone, or others can no longer know how many there are.

// teller is one life of one other node that tells counts.
type teller struct {
	life
	number  uint16                   // in entries
	entries int                      // of its counts, in all shards
	refused [zone.Shards / 64]uint64 // in which counts had no room
	askedMS int64                    // monotonic, when refused counts were last asked for
	itself  [zone.Shards / 64]uint64 // that it taught itself
}

// tellers are all of them.
type tellers struct {
	byName   map[zone.Origin]*teller
	numbered []*teller // nil is free
	held     [zone.Shards / 64]uint64
}

func newTellers() tellers { return tellers{byName: map[zone.Origin]*teller{}} }

const (
	// maxHearsay is from how many on none is added that has not told anything itself: a teacher can name any number.
	maxHearsay = 256
	// askAgainMS is how often counts are asked for again that had no room.
	askAgainMS = 10_000
)

// teller finds or makes the state of an origin that speaks itself, or of which another one speaks. It returns nil if
// there is no room.
func (c *Conn) teller(name zone.Origin, itself bool, now clock.Reading) *teller {
	if t := c.tellers.byName[name]; t != nil {
		return t
	}
	switch known := len(c.tellers.byName); {
	case !itself && known >= maxHearsay, known >= maxLives && !c.forgetLongestAway(now):
		return nil
	}
	number := -1
	for i, t := range c.tellers.numbered {
		if t == nil {
			number = i
			break
		}
	}
	if number < 0 {
		number = len(c.tellers.numbered)
		c.tellers.numbered = append(c.tellers.numbered, nil)
	}
	t := &teller{life: life{name: name, heardMS: now.MonoMS}, number: uint16(number)}
	c.tellers.byName[name], c.tellers.numbered[number] = t, t
	return t
}

func (c *Conn) forgetLongestAway(now clock.Reading) bool {
	var longest *teller
	for _, t := range c.tellers.numbered {
		if t != nil && t.isAway && (longest == nil || t.heardMS < longest.heardMS) {
			longest = t
		}
	}
	if longest == nil {
		return false
	}
	c.dropCounts(longest, now.MonoMS)
	delete(c.tellers.byName, longest.name)
	c.tellers.numbered[longest.number] = nil
	return true
}

// dropCounts removes all that a teller has told, and zeros kept of it. It must teach everything when it is back.
func (c *Conn) dropCounts(t *teller, monoMS int64) {
	for shard := 0; shard < zone.Shards && t.entries > 0; shard++ {
		sh := c.store.ShardNumber(shard)
		sh.Lock()
		c.forgetEntries(sh, monoMS, func(e entry) bool { return e.teller == t.number })
		sh.Unlock()
	}
	t.lacks, t.refused = everyShard, [zone.Shards / 64]uint64{}
	t.taught, t.itself = nil, [zone.Shards / 64]uint64{}
}

// Began notes that the node of an origin is connected, and will send the frames of its journal after a sequence.
func (c *Conn) Began(from zone.Origin, after uint64, now clock.Reading) {
	c.told.Lock()
	defer c.told.Unlock()
	_, isKnown := c.tellers.byName[from]
	t := c.teller(from, true, now)
	if t == nil {
		return
	}
	if !isKnown && after > 0 {
		t.lacks = everyShard // it was forgotten
	}
	t.isAway, t.heardMS = false, now.MonoMS
}

// Heard notes when each connected origin was last heard (monotonic); origins has all of them. The counts of an origin
// that was not heard for silentMS no longer count. Time in which this process was stopped is not silence. If all nodes
// are connected, the other origins are earlier lives of them.
func (c *Conn) Heard(origins map[zone.Origin]int64, all bool, silentMS int64, now clock.Reading) {
	c.told.Lock()
	defer c.told.Unlock()
	stoppedMS := c.stoppedMS(now)
	hasRoom := c.store.Stats().RecordBytes < c.foreignLimit()/4*3
	for _, t := range c.tellers.numbered {
		if t == nil {
			continue
		}
		if t.isOver(origins, all, silentMS, stoppedMS, now) && t.entries > 0 {
			c.dropCounts(t, now.MonoMS)
		}
		if hasRoom && t.refused != [zone.Shards / 64]uint64{} && now.MonoMS-t.askedMS >= askAgainMS {
			for i := range t.lacks {
				t.lacks[i] |= t.refused[i]
			}
			t.refused, t.askedMS = [zone.Shards / 64]uint64{}, now.MonoMS
		}
	}
}

// Lacks returns the shards that an origin must teach. Nothing is known for sure of one that is not connected, so this
// node does not teach its counts, and does not claim to have them.
func (c *Conn) Lacks(from zone.Origin) (shards [zone.Shards / 64]uint64) {
	c.told.Lock()
	defer c.told.Unlock()
	t := c.tellers.byName[from]
	if t == nil || t.isAway {
		return everyShard
	}
	shards = t.lacks
	for i := range shards {
		shards[i] |= t.refused[i]
	}
	return shards
}

// Wants returns the shards that a connected origin is to teach now: counts that had no room are not asked for again at
// once.
func (c *Conn) Wants(from zone.Origin) (shards [zone.Shards / 64]uint64) {
	c.told.Lock()
	defer c.told.Unlock()
	if t := c.tellers.byName[from]; t != nil && !t.isAway {
		return t.lacks
	}
	return shards
}

// Forfeit is called when frames of an origin are lost: counts in it may be stale until it has taught everything.
func (c *Conn) Forfeit(from zone.Origin, to uint64) {
	c.told.Lock()
	defer c.told.Unlock()
	if t := c.teller(from, true, clock.Reading{MonoMS: c.seenMS.Load()}); t != nil {
		t.forfeit(to)
	}
}

// Disown drops what came in an origin's name: another node sent it, or a later life of the node has begun.
func (c *Conn) Disown(from zone.Origin) {
	c.told.Lock()
	defer c.told.Unlock()
	if t := c.tellers.byName[from]; t != nil {
		t.completed = 0
		c.dropCounts(t, c.seenMS.Load())
	}
}

// Hold keeps zeros that others tell, until the shards are taught: a teacher may not have heard of them.
func (c *Conn) Hold(shards [zone.Shards / 64]uint64) {
	c.told.Lock()
	defer c.told.Unlock()
	for i := range shards {
		c.tellers.held[i] |= shards[i]
	}
}

// Release ends that. From now on each node speaks for itself only: what another one taught of it does not hide its
// frames.
func (c *Conn) Release(now clock.Reading) {
	c.told.Lock()
	defer c.told.Unlock()
	for shard := range zone.Shards {
		if !hasShard(&c.tellers.held, shard) {
			continue
		}
		sh := c.store.ShardNumber(shard)
		sh.Lock()
		c.forgetEntries(sh, now.MonoMS, func(e entry) bool { return e.count == 0 })
		sh.Unlock()
	}
	c.tellers.held = [zone.Shards / 64]uint64{}
	for _, t := range c.tellers.numbered {
		for shard := 0; t != nil && t.taught != nil && shard < zone.Shards; shard++ {
			if !hasShard(&t.itself, shard) {
				t.taught[shard] = 0
			}
		}
	}
}

// Unpublish ends the sharing with another process of this node: the counts of that process no longer count.
func (c *Conn) Unpublish() {
	c.told.Lock()
	defer c.told.Unlock()
	for _, t := range c.tellers.numbered {
		if t != nil {
			c.dropCounts(t, c.seenMS.Load())
		}
	}
}
