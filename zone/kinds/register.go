package kinds

import (
	"bytes"
	"sync/atomic"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// registers is what sessions and key-value pairs share: a map of last-writer-wins registers with tombstones.
// Word0 of a record is its stamp, Word1 its end by this node's monotonic clock in ms (0 never): what happens to wall clocks, or to cluster time,
// ends nothing earlier or later.
type registers struct {
	base
	clock     *stamp.Clock
	timeoutMS atomic.Int64
	// grace is how much longer than its expiry a record lives, as a divisor of the timeout; 0 none.
	grace int64
	// evicts says that local writes and frames may give up the least recently used record.
	evicts bool
	// dictionary says that values are few and are sent once per frame.
	dictionary bool
	// maxValue bounds the values that peers may send.
	maxValue int
	// tombstoneMS is the life of tombstones; 0 removes records at once.
	tombstoneMS int64
	// seenMS is a recent monotonic time, by which tombstones know when they were made.
	seenMS atomic.Int64
	// watch is told under the shard's lock when a key appears or goes.
	watch watcher
}

// watcher follows the keys that readers can find.
type watcher interface {
	appeared(key []byte)
	gone(key []byte)
}

// write is one state of one register.
type write struct {
	stamp     stamp.Stamp
	tombstone bool
	endMS     int64 // by the monotonic clock, 0 never
	value     []byte
}

// outcome is what a write did.
type outcome uint8

const (
	lost outcome = iota
	won
	refused
)

// beats is the total order of the states of one register: stamp, tombstone, value, end (never is the latest).
// The greater one wins on all nodes, which makes merging commutative, associative and idempotent.
func (w *write) beats(sh *zone.Shard, r *zone.Record) bool {
	if have := stamp.Stamp(r.Word0); w.stamp != have {
		return w.stamp > have
	}
	if w.tombstone != r.Tombstone() {
		return w.tombstone
	}
	if c := bytes.Compare(w.value, sh.Value(r)); c != 0 {
		return c > 0
	}
	return uint64(w.endMS)-1 > r.Word1-1 // zero, never, becomes the greatest
}

// room says how much of the budget a write may use.
type room struct {
	bytes int64
	evict bool
	// whole says that the payload is a whole shard: memory for its records is made at once.
	whole bool
	// carried says that peers are to get what is put, as if it were written here.
	carried bool
	// ageMS is how long the payload waited on its way.
	ageMS int64
}

// put merges one state into its locked shard. The returned slot is zero unless the state is now the record's.
func (g *registers) put(sh *zone.Shard, hash uint64, key []byte, w *write, space room, now clock.Reading) (outcome, zone.Slot) {
	if w.stamp <= sh.Clear() && sh.Clear() != 0 {
		return lost, 0
	}
	slot, r := sh.Find(key)
	oldDueMS := int64(0)
	visible := false
	var old zone.Element
	switch {
	case r == nil:
		if slot, r = g.store.Insert(sh, key, w.value, space.bytes, space.evict, now.MonoMS); r == nil {
			return refused, 0
		}
	case !w.beats(sh, r):
		return lost, 0
	default:
		old = elementOf(sh, hash, r)
		if !g.store.Replace(sh, r, w.value, space.bytes, space.evict, now.MonoMS) {
			return refused, 0
		}
		oldDueMS, visible = g.DueMS(r), !r.Tombstone()
	}
	r.Word0, r.Word1 = uint64(w.stamp), uint64(w.endMS)
	sh.SetTombstone(r, w.tombstone)
	if g.evicts {
		sh.Use(slot, r, now.MonoMS)
	}
	if w.tombstone {
		g.seenMS.Store(now.MonoMS)
		r.SetUsedMS(now.MonoMS - min(max(now.WallMS-w.stamp.MS(), 0), g.tombstoneMS))
	}
	if fresh := elementOf(sh, hash, r); old == (zone.Element{}) {
		sh.With(fresh)
	} else {
		sh.Instead(old, fresh)
	}
	sh.Due(slot, r, oldDueMS, g.DueMS(r), now.MonoMS)
	if g.watch != nil && visible == w.tombstone {
		if w.tombstone {
			g.watch.gone(key)
		} else {
			g.watch.appeared(key)
		}
	}
	return won, slot
}

// elementOf is a record as digests and sketches see it.
func elementOf(sh *zone.Shard, hash uint64, r *zone.Record) zone.Element {
	return zone.Element{Key: hash, Version: zone.VersionOf(stamp.Stamp(r.Word0), r.Tombstone(), sh.Value(r))}
}

// nextStamp is the stamp of a local write over r, which may be nil.
func (g *registers) nextStamp(sh *zone.Shard, r *zone.Record, now clock.Reading) stamp.Stamp {
	above := sh.Clear()
	if r != nil {
		above = max(above, stamp.Stamp(r.Word0))
	}
	return g.clock.Next(now.WallMS, above)
}

// remove deletes a key here: with tombstones it leaves one, else the record goes at once.
func (g *registers) remove(sh *zone.Shard, hash uint64, key []byte, slot zone.Slot, r *zone.Record, gone *write, now clock.Reading) (first bool) {
	if g.tombstoneMS == 0 && !r.Dirty() {
		sh.Remove(slot)
		return false
	}
	// A tombstone is not longer than what it replaces, so it always has room.
	if did, slot := g.put(sh, hash, key, gone, room{bytes: g.store.Limit()}, now); did == won {
		return sh.MarkDirty(slot, sh.At(slot))
	}
	return false
}

// clearAll empties the zone with one stamp and returns it.
func (g *registers) clearAll(now clock.Reading) stamp.Stamp {
	cleared := g.clock.Next(now.WallMS, 0)
	wake := false
	for n := range zone.Shards {
		sh := g.store.ShardNumber(n)
		sh.Lock()
		wake = sh.ClearTo(cleared, true, stampOf) || wake
		sh.Unlock()
	}
	if wake {
		g.store.Wake(false)
	}
	return cleared
}

func stampOf(r *zone.Record) stamp.Stamp { return stamp.Stamp(r.Word0) }

// findLive returns the record of a key if a reader may see it.
func (g *registers) findLive(sh *zone.Shard, key []byte, now clock.Reading) (zone.Slot, *zone.Record) {
	slot, r := sh.Find(key)
	if r == nil || r.Tombstone() {
		return slot, nil
	}
	if due := g.DueMS(r); due != 0 && due <= now.MonoMS {
		return slot, nil
	}
	return slot, r
}

// DueMS is when a record ends, by the monotonic clock.
func (g *registers) DueMS(r *zone.Record) int64 {
	if r.Tombstone() {
		return r.UsedMS(g.seenMS.Load()) + max(g.tombstoneMS, 1)
	}
	if r.Word1 == 0 {
		return 0
	}
	return int64(r.Word1) + g.graceMS()
}

func (g *registers) graceMS() int64 {
	if g.grace == 0 {
		return 0
	}
	return g.timeoutMS.Load() / g.grace
}

// Forget takes a record that goes out of the digest.
func (g *registers) Forget(sh *zone.Shard, r *zone.Record, key []byte) {
	sh.Without(elementOf(sh, zone.KeyHash(key), r))
	if g.watch != nil && !r.Tombstone() {
		g.watch.gone(key)
	}
}

// Framed has nothing to do: registers merge the same however often they come.
func (g *registers) Framed(uint64, []byte, clock.Reading) {}

// Sweep notes the time: the timer wheel ends registers.
func (g *registers) Sweep(_ *zone.Shard, now clock.Reading) { g.seenMS.Store(now.MonoMS) }

// SetTimeout changes the timeout, as a reload may. Records that are here keep their end until they are written or touched.
func (g *registers) SetTimeout(ms int64) { g.timeoutMS.Store(ms) }

// SetOrigin is of no use to registers: stamps say all.
func (g *registers) SetOrigin(zone.Origin) {}

// Hold is of no use to registers: they merge in any order.
func (g *registers) Hold([zone.Shards / 64]uint64) {}

// Release ends nothing, see Hold.
func (g *registers) Release(clock.Reading) {}

// Forfeit loses nothing for good: repair finds what is missing.
func (g *registers) Forfeit(zone.Origin, uint64) {}

// Lacks nothing, see Forfeit.
func (g *registers) Lacks(zone.Origin) (none [zone.Shards / 64]uint64) { return none }

// Digests writes one digest per shard over keys, stamps, tombstones and clear stamps.
func (g *registers) Digests(out *[zone.Shards]uint64) bool { return g.store.Digests(out) }
