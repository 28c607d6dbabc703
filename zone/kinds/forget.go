package kinds

import (
	"math"
	"sync/atomic"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// This file decides when deletions are forgotten. DESIGN.md of zones has the rule and the reason why nothing deleted
// returns.

// forgets is the zone's state for this.
type forgets struct {
	// longestMS is the longest life given to a record here, math.MaxInt64 for one that never ends. After that time,
	// everything that a tombstone may have to beat has ended.
	longestMS atomic.Int64
	// gaveUpMS is the time of the youngest tombstone evicted for lack of room.
	gaveUpMS atomic.Int64
	// lacksMS is the time until which deletions may be unknown here because this zone was taught. It is not in
	// gaveUpMS: that makes a node delete what its peers have, and a taught node has not deleted it.
	lacksMS atomic.Int64
	// lags are what members may hold, see zone.Comparable.Protect.
	lags atomic.Pointer[[]zone.Lag]
}

func raise(to *atomic.Int64, ms int64) {
	for {
		before := to.Load()
		if ms <= before || to.CompareAndSwap(before, ms) {
			return
		}
	}
}

// lives notes the life of a new record.
func (g *registers) lives(w *write, now clock.Reading) {
	if w.endMS == 0 {
		raise(&g.longestMS, math.MaxInt64)
		return
	}
	raise(&g.longestMS, w.endMS-now.MonoMS)
}

// roomAttempts is how often a local write tries to make room: other writes can take the room made for it.
const roomAttempts = 4

// makeRoom evicts tombstones for a write, including those that wait to be sent, after sending them. It returns false if
// records fill the zone. No lock may be held.
func (g *registers) makeRoom(bytes, limit int64, now clock.Reading) bool {
	if stats := g.store.Stats(); stats.RecordBytes+bytes > limit || stats.Tombstones == 0 {
		return false
	}
	g.store.Flush(now)
	g.store.MakeRoom(bytes, limit, now.MonoMS)
	return true
}

// payloadGrows is the factor by which a record can be larger in memory than in a payload.
const payloadGrows = 16

// sendTombstones flushes if the records of a payload may need the room of tombstones that wait to be sent.
func (g *registers) sendTombstones(payload []byte, now clock.Reading) {
	stats := g.store.Stats()
	if stats.Tombstones > 0 && stats.Pending > 0 && stats.Bytes+payloadGrows*int64(len(payload)) > g.store.Budget() {
		g.store.Flush(now)
	}
}

// endedSlackMS is by how much members' clocks may differ when they drop ended records.
const endedSlackMS = 10_000

// tombstoneLifeMS is the lifetime of a tombstone: no longer than the deleted record could have lived. Nodes that have
// not received the deletion can still touch sessions, so theirs is always the maximum.
func (g *registers) tombstoneLifeMS() int64 {
	timeoutMS := g.timeoutMS.Load()
	if longest := max(g.longestMS.Load(), timeoutMS); !g.evicts && timeoutMS != 0 &&
		longest < g.tombstoneMS.Load()-endedSlackMS {
		return longest + endedSlackMS
	}
	return g.tombstoneMS.Load()
}

// tombstoneAgeMS is the age of a deletion by its stamp. A restamped one, or one that would have expired already at its
// sender, was stamped by a wrong clock. One from disk may have been, and is kept until the peers are met.
func (g *registers) tombstoneAgeMS(w *write, space room, now clock.Reading) int64 {
	ageMS, lifeMS := max(now.WallMS-w.stamp.MS(), 0), g.tombstoneLifeMS()
	switch {
	case w.first.stamp != 0:
		return 0
	case ageMS <= lifeMS:
		return ageMS
	case space.restored:
		return max(lifeMS-buriedForMS, 0)
	}
	return 0
}

// gaveUp notes that a deletion is dropped although a member may not have it.
func (g *registers) gaveUp(s stamp.Stamp) { raise(&g.gaveUpMS, s.MS()) }

// GivenUp notes that a tombstone is evicted.
func (g *registers) GivenUp(r *zone.Record) { g.gaveUp(stamp.Stamp(r.Word0)) }

// doubtful reports that a missing record may have been deleted, by a tombstone that was evicted for lack of room: the
// record was delayed, or its sender has not received the deletion.
func (g *registers) doubtful(sh *zone.Shard, key []byte, w *write) bool {
	lacksMS := max(g.gaveUpMS.Load(), g.lacksMS.Load())
	if w.tombstone || w.stamp.MS() > lacksMS || w.stamp <= sh.Clear() || !g.store.IsWhole() {
		return false
	}
	_, r := sh.Find(key)
	return r == nil
}

// bornUnitMS is the unit of Record.Born: 32 bits of it are two years, of which half can be told from the other.
const bornUnitMS = 16

func bornAt(ms int64) uint32 { return uint32(ms / bornUnitMS) }

// bornMS is when a key appeared, by its first stamp: no later than that.
func bornMS(r *zone.Record) int64 {
	atMS := stampOf(r).MS()
	return atMS - atMS%bornUnitMS - int64(int32(bornAt(atMS)-r.Born))*bornUnitMS
}

// bornBy reports whether a key existed by then.
func bornBy(r *zone.Record, ms int64) bool { return int32(bornAt(ms)-r.Born) >= 0 }

// Needed returns how likely it is that a member holds what the tombstone deleted, if only the tombstone can tell it.
func (g *registers) Needed(r *zone.Record) (needed int) {
	lags := g.lags.Load()
	if lags == nil {
		return 0
	}
	deletedMS, writtenMS := stampOf(r).MS(), stamp.Stamp(r.Word1).MS()
	for i := range *lags {
		lag := &(*lags)[i]
		switch {
		case deletedMS <= lag.SureMS || writtenMS <= lag.ThroughMS || !bornBy(r, lag.MaybeMS):
		case deletedMS > lag.KnownMS && bornBy(r, lag.HadMS):
			return zone.MostNeeded
		case deletedMS > lag.KnownMS && bornBy(r, lag.HeldMS): // it was on its way, as one of many
			needed = 2
		default:
			needed = max(needed, 1)
		}
	}
	return needed
}

// Protect sets which deletions are evicted last.
func (g *registers) Protect(lags []zone.Lag) {
	g.lags.Store(&lags)
	g.store.NeedChanged()
}

// unackedShare is the part of the tombstones' memory, as a divisor, that the deletions of what is in flight to one
// member may need. The rest is for what members held before.
const unackedShare = 8

// MaxUnacked is how many records may be in flight to a member. As long as tombstones use less than that share of their
// memory, there is no bound.
func (g *registers) MaxUnacked() int64 {
	stats, share := g.store.Stats(), (g.store.Budget()-g.store.Limit())/unackedShare
	if stats.TombstoneBytes < share {
		return math.MaxInt64
	}
	return max(share/max(stats.TombstoneBytes/max(stats.Tombstones, 1), 1), 1)
}

// GaveUpMS is the time of the youngest deletion dropped for lack of room.
func (g *registers) GaveUpMS() int64 { return g.gaveUpMS.Load() }

// MayLackDeletions notes that deletions stamped until throughMS may be missing in what this zone was taught.
func (g *registers) MayLackDeletions(throughMS int64) { raise(&g.lacksMS, throughMS) }

// ForgetThrough drops deletions that all members know, except restamped ones: a log can bring them back, and they would
// win over a write that does not continue from their first stamp.
func (g *registers) ForgetThrough(throughMS, sinceMonoMS int64) (forgotten int) {
	return g.store.ForgetTombstones(
		sinceMonoMS,
		func(r *zone.Record) bool { return stampOf(r).MS() <= throughMS },
		func(sh *zone.Shard, r *zone.Record) bool { return g.firstOf(sh, zone.KeyHash(sh.Key(r)), r).stamp != 0 },
	)
}

// Outdated reports whether a frame is too old for late peers.
func (g *registers) Outdated(flushedMonoMS int64) bool { return g.store.Outdated(flushedMonoMS) }

// Deletions returns a frame of this zone's journal with nothing but its deletions and clears: they bring nothing back,
// however late they come.
func (g *registers) Deletions(payload []byte) []byte {
	d := registerDecoder{Reader: zone.Read(payload)}
	d.begin(0, clock.Reading{})
	e := registerEncoder{zone: g}
	dst := e.beginAt(nil, d.baseMS, d.timeoutMS)
	for d.Len() > 0 && !d.Failed() {
		start := len(dst)
		dst = append(dst, d.Byte())
		empty := len(dst)
		for {
			key, w, more := d.record(g)
			if !more {
				break
			}
			switch {
			case len(key) == 0:
				dst = e.AppendClear(dst, w.stamp)
			case w.tombstone:
				dst = e.appendWrite(dst, key, &w)
			}
		}
		if len(dst) == empty {
			dst = dst[:start]
			continue
		}
		dst = append(dst, zone.GroupEnd)
	}
	return dst
}

// Tombstones returns the elements of the deletions here that beat those given.
func (g *registers) Tombstones(of []zone.Element) (found []zone.Element) {
	for len(of) > 0 {
		shard := zone.ShardOf(of[0].Key)
		n := 1
		for n < len(of) && zone.ShardOf(of[n].Key) == shard {
			n++
		}
		found = g.tombstonesOfShard(found, g.store.ShardNumber(shard), of[:n])
		of = of[n:]
	}
	return found
}

func (g *registers) tombstonesOfShard(found []zone.Element, sh *zone.Shard, of []zone.Element) []zone.Element {
	sh.Lock()
	defer sh.Unlock()
	byKey := make(map[uint64]int64, len(of)) // the latest version of each
	for _, e := range of {
		byKey[e.Key] = max(byKey[e.Key], e.MS())
	}
	for slot := sh.OldestTombstone(); slot != 0; slot = sh.Newer(slot) {
		r := sh.At(slot)
		hash := zone.KeyHash(sh.Key(r))
		if ms, wanted := byKey[hash]; wanted && stamp.Stamp(r.Word0).MS() >= ms {
			found = append(found, elementOf(sh, hash, r))
		}
	}
	return found
}

// remind sends a deletion again, because a peer sent the deleted record. It reports whether the deletion is so fresh
// that it is in flight anyway.
func (g *registers) remind(sh *zone.Shard, key []byte, now clock.Reading) (fresh, first bool) {
	slot, r := sh.Find(key)
	if r == nil || !r.Tombstone() {
		return false, false
	}
	return stamp.Stamp(r.Word0).MS() > now.WallMS-endsSoonMS, sh.MarkDirty(slot, r)
}

// deleteAgain writes the tombstone of a record that was deleted here and whose deletion is forgotten. It beats the
// peer's record, and no write of the last TombstoneLifeMS less a minute unless that is as old as the record.
func (g *registers) deleteAgain(
	sh *zone.Shard,
	hash uint64,
	key []byte,
	brought *write,
	now clock.Reading,
) (gone *write, first bool) {
	buried := stamp.At(now.WallMS-g.tombstoneMS.Load()+buriedForMS, 0)
	gone = &write{stamp: max(brought.stamp+1, buried), tombstone: true}
	gone.first = brought.first.next().over(gone.stamp)
	did, slot := g.put(sh, hash, key, gone, room{bytes: g.store.Limit()}, now)
	if did != won {
		return nil, false // no room: the next comparison finds it again
	}
	return gone, sh.MarkDirty(slot, sh.At(slot))
}
