package kinds

import (
	"bytes"
	"math"
	"sync/atomic"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// registers is the common part of sessions and key-value pairs: a map of last-writer-wins registers with tombstones.
// Word0 of a record is its stamp, Word1 its expiry time on this node's monotonic clock in ms (0 never): changes of wall
// clocks or cluster time do not move it. Word1 of a tombstone is the stamp of the record it replaced. Born is when the
// key appeared, see bornAt.
type registers struct {
	base
	clock     *stamp.Clock
	timeoutMS atomic.Int64
	forgets
	firsts firsts
	// grace is how much longer than its expiry a record lives, as a divisor of the timeout; 0 is none.
	grace int64
	// lingerMS is how long records that readers no longer find are still stored and counted.
	lingerMS int64
	// touched means that a record's expiry moves later under one stamp.
	touched bool
	// evicts means that local writes and frames can evict the least recently used record.
	evicts bool
	// dictionary means that there are few values, each sent once per frame.
	dictionary bool
	// maxValue bounds values from peers.
	maxValue int
	// tombstoneMS is the lifetime of tombstones; 0 removes records at once.
	tombstoneMS atomic.Int64
	// hadState means that a reload has taken the zone's state away.
	hadState atomic.Bool
	// seenMS is a recent monotonic time, used as the creation time of tombstones.
	seenMS atomic.Int64
	// watch is called under the shard's lock when a key appears or disappears.
	watch watcher
	// check rejects records of peers and disks; nil: none. changed is called with the key of each record that a write
	// of this node or of a peer has changed, not when one ends. Both are called under the shard's lock.
	check   func(key, value []byte) error
	changed func(key []byte)
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
	endMS     int64 // on the monotonic clock, 0 never
	value     []byte
	first     first
}

// outcome is the result of a write.
type outcome uint8

const (
	lost outcome = iota
	won
	refused
	outdated // lost, although its stamp is not lower
)

// beats is the total order of the states of one register: stamp, tombstone, value, expiry (never is the latest). The
// greater one wins on all nodes, which makes merging commutative, associative and idempotent.
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
	return !w.tombstone && uint64(w.endMS)-1 > r.Word1-1 // zero, never, becomes the greatest
}

// room is how much of the budget a write may use.
type room struct {
	bytes int64
	evict bool
	// whole means that the payload is a whole shard: memory for its records is allocated at once.
	whole bool
	// carried means that peers get the merged states, as if they were local writes.
	carried bool
	// ageMS is how long the payload was in transit.
	ageMS int64
	// repaired means that the payload is not of a journal: a peer that sends a deleted record has not got the deletion.
	repaired bool
	// goneMS: a record that is not here and was written before this time was deleted; buried is called for each, under
	// the shard's lock.
	goneMS int64
	buried func(shard int, key []byte, w *write)
	// doubts: see zone.Trust.
	doubts bool
	// restored means that the payload is from the log of a previous process.
	restored bool
	// only is the key that all records of the payload must have; nil means any.
	only []byte
}

// corrects reports whether w is the same state as a restored record: the machine's clock may have been set since, so a
// peer knows its expiry better.
func (w *write) corrects(sh *zone.Shard, r *zone.Record) bool {
	return r.Restored() && !r.Tombstone() && !w.tombstone && w.stamp == stampOf(r) && uint64(w.endMS) != r.Word1 &&
		bytes.Equal(w.value, sh.Value(r))
}

// put merges one state into its locked shard. The returned slot is zero unless the state is now the record's.
func (g *registers) put(
	sh *zone.Shard,
	hash uint64,
	key []byte,
	w *write,
	space room,
	now clock.Reading,
) (outcome, zone.Slot) {
	if w.stamp <= sh.Clear() && sh.Clear() != 0 {
		return lost, 0
	}
	slot, r := sh.Find(key)
	oldDueMS := int64(0)
	var old zone.Element // stays zero if no reader finds the key
	replaced, known := uint64(0), r != nil
	if known {
		switch order := g.order(sh, hash, w, r); {
		case order < 0 && w.stamp >= stampOf(r):
			return outdated, 0
		case order < 0, order == 0 && !w.beats(sh, r) && (space.restored || !w.corrects(sh, r)):
			return lost, 0
		}
		if !g.touched && !r.Restored() && g.isCopy(sh, hash, w, r) {
			w.endMS = int64(r.Word1) // that of the sender may be from a disk
			if space.carried && w.stamp == stampOf(r) {
				return lost, 0 // or peers would get every pair of a log that ends
			}
		}
		oldDueMS, replaced = g.DueMS(r), r.Word0
		if !r.Tombstone() {
			old = elementOf(sh, hash, r)
		}
	}
	slot, r = g.place(sh, slot, key, w, space, now)
	switch {
	case r == nil && w.tombstone: // there is nothing here to delete
		g.gaveUp(w.stamp)
		return lost, 0
	case r == nil:
		return refused, 0
	case !known:
		r.Born = bornAt(w.stamp.MS())
	}
	r.Word0, r.Word1 = uint64(w.stamp), uint64(w.endMS)
	r.SetRestored(space.restored)
	g.noteFirst(sh, hash, r, w.first)
	if w.tombstone {
		r.Word1 = replaced
		g.seenMS.Store(now.MonoMS)
		r.SetUsedMS(now.MonoMS - g.tombstoneAgeMS(w, space, now))
	} else {
		g.lives(w, now)
	}
	g.count(sh, hash, key, old, r)
	sh.Due(slot, r, oldDueMS, g.DueMS(r), now.MonoMS)
	return won, slot
}

// place makes the record of a write, with its value. It returns nil if there is no room.
func (g *registers) place(
	sh *zone.Shard,
	slot zone.Slot,
	key []byte,
	w *write,
	space room,
	now clock.Reading,
) (zone.Slot, *zone.Record) {
	switch {
	case w.tombstone && slot == 0:
		return g.store.InsertTombstone(sh, key, now.MonoMS)
	case w.tombstone:
		g.store.Bury(sh, slot, now.MonoMS)
		return slot, sh.At(slot)
	case slot == 0:
		if slot, _ = g.store.Insert(sh, key, w.value, space.bytes, space.evict, now.MonoMS); slot == 0 {
			return 0, nil
		}
	case !g.store.Replace(sh, slot, w.value, space.bytes, space.evict, now.MonoMS):
		return 0, nil
	}
	if g.evicts {
		sh.Use(slot, sh.At(slot), now.MonoMS)
	}
	return slot, sh.At(slot)
}

// count updates the digest, which covers what readers find, and notifies the watcher of keys.
func (g *registers) count(sh *zone.Shard, hash uint64, key []byte, old zone.Element, r *zone.Record) {
	visible := old != (zone.Element{})
	switch {
	case visible && r.Tombstone():
		sh.Without(old)
	case visible:
		sh.Instead(old, elementOf(sh, hash, r))
	case !r.Tombstone():
		sh.With(elementOf(sh, hash, r))
	}
	if g.watch != nil && visible == r.Tombstone() {
		if visible {
			g.watch.gone(key)
		} else {
			g.watch.appeared(key)
		}
	}
	if g.changed != nil {
		g.changed(key)
	}
}

// elementOf is a record as an element of digests and sketches.
func elementOf(sh *zone.Shard, hash uint64, r *zone.Record) zone.Element {
	return zone.Element{Key: hash, Version: zone.VersionOf(stamp.Stamp(r.Word0), r.Tombstone(), sh.Value(r))}
}

// stampWrite stamps a local write over r, which may be nil.
func (g *registers) stampWrite(sh *zone.Shard, hash uint64, w *write, r *zone.Record, now clock.Reading) {
	above := sh.Clear()
	if r != nil {
		above = max(above, stamp.Stamp(r.Word0))
	}
	w.stamp, w.first = g.clock.Next(now.WallMS, above), first{}
	if r != nil {
		g.follow(sh, hash, w, r)
	}
}

// remove deletes a key here: with tombstones it leaves one, otherwise the record is removed at once.
func (g *registers) remove(
	sh *zone.Shard,
	hash uint64,
	key []byte,
	slot zone.Slot,
	r *zone.Record,
	gone *write,
	now clock.Reading,
) (first bool) {
	if g.tombstoneMS.Load() == 0 && !r.Dirty() {
		sh.Remove(slot)
		return false
	}
	// A tombstone is not longer than the record it replaces, so it always has room.
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

// findLive returns the record of a key if readers can see it.
func (g *registers) findLive(sh *zone.Shard, key []byte, now clock.Reading) (zone.Slot, *zone.Record) {
	slot, r := sh.Find(key)
	if r == nil || r.Tombstone() {
		return slot, nil
	}
	if end := g.endMS(r); end != 0 && end <= now.MonoMS {
		return slot, nil
	}
	return slot, r
}

// DueMS is when a record is removed, on the monotonic clock.
func (g *registers) DueMS(r *zone.Record) int64 {
	end := g.endMS(r)
	if end == 0 || r.Tombstone() {
		return end
	}
	return end + g.lingerMS
}

// endMS is when a record expires: readers do not find it any more.
func (g *registers) endMS(r *zone.Record) int64 {
	if r.Tombstone() {
		return r.UsedMS(g.seenMS.Load()) + max(g.tombstoneLifeMS(), 1)
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

// Forget removes a record from the digest.
func (g *registers) Forget(sh *zone.Shard, r *zone.Record, key []byte) {
	hash := zone.KeyHash(key)
	g.dropFirst(sh, hash)
	if r.Tombstone() {
		return
	}
	sh.Without(elementOf(sh, hash, r))
	if g.watch != nil {
		g.watch.gone(key)
	}
}

// Framed has nothing to do: registers merge the same however often they arrive.
func (g *registers) Framed(uint64, []byte, clock.Reading) {}

// Sweep notes the time, and forgets first stamps: the timer wheel ends registers.
func (g *registers) Sweep(sh *zone.Shard, now clock.Reading) {
	g.seenMS.Store(now.MonoMS)
	g.sweepFirsts(sh, now.MonoMS)
}

// SetTimeout changes the timeout, as a reload can. Existing records keep their expiry until they are written or
// touched.
func (g *registers) SetTimeout(ms int64) {
	before := g.timeoutMS.Swap(ms)
	if before == ms {
		return
	}
	g.store.Describe(func(info *zone.Info) { info.TimeoutMS = ms })
	if before == 0 {
		before = math.MaxInt64
	}
	raise(&g.longestMS, before)
}

// SetOrigin is not needed by registers: stamps are enough.
func (g *registers) SetOrigin(zone.Origin) {}

// Hold is not needed by registers: they merge in any order.
func (g *registers) Hold([zone.Shards / 64]uint64) {}

// Release ends nothing, see Hold.
func (g *registers) Release(clock.Reading) {}

// Forfeit loses nothing for good: repair finds the missing records.
func (g *registers) Forfeit(zone.Origin, uint64) {}

// Disown has nothing to revert: merged records stay, and repair finds the missing ones.
func (g *registers) Disown(zone.Origin) {}

// Lacks nothing, see Forfeit.
func (g *registers) Lacks(zone.Origin) (none [zone.Shards / 64]uint64) { return none }

// Digests writes one digest per shard over keys, stamps, values and clear stamps of what readers find: each node drops
// tombstones by itself.
func (g *registers) Digests(out *[zone.Shards]uint64) bool { return g.store.Digests(out) }

// Changes counts changes of the compared content.
func (g *registers) Changes() uint64 { return g.store.Changes() }
