package kinds

import (
	"starling/lib/clock"
	"starling/zone"
)

// This file is how a shard learns that was not held: after an overrun, or from a node met late. Costs are sums, so the
// two levels cannot simply be added; zone/DESIGN.md has the argument.

// ownFramesMost bounds the own frames read for one shard, and so the time that its lock is held.
const ownFramesMost = 64

// learnAgain makes the shard count what either side has counted, if that can be determined: if the teacher has nothing
// new, or if it has all costs that are here except own ones of this node, which are in the journal. Otherwise it takes
// the greater level of each key and counts the most that can be missing as forfeited. Later frames add nothing that the
// teacher already has. The shard was just cut. The teacher, as an origin, is locked.
func (b *Bucket) learnAgain(
	sh *zone.Shard,
	teacher *origin,
	from []seen,
	r *zone.Reader,
	now clock.Reading,
	applied *zone.Applied,
) {
	until := sequences(from)
	if !teacher.gap.misses(sh.Number()) && b.knowsAll(sh.Number(), until, now) {
		for r.Len() > 0 {
			if _, _, more := readBucket(r, maxLevel); !more {
				r.Fail()
			}
		}
		return
	}
	own, known := b.ownSince(sh, until[b.selfOrigin()])
	if !known || b.knowsMore(sh.Number(), until) {
		b.learnRecords(sh, r, now, applied, func(record *zone.Record, level int64) bool {
			have := b.levelOf(record, now)
			b.store.Forfeit(min(have, level)) // the two may count the same requests, or different ones
			return level > have
		})
		return
	}
	taught, had := map[string]struct{}{}, map[string]int64{}
	b.learnRecords(sh, r, now, applied, func(record *zone.Record, _ int64) bool {
		key := string(sh.Key(record))
		taught[key], had[key] = struct{}{}, b.levelOf(record, now)
		return true
	})
	for i := range own {
		b.addOwnHeld(sh, &own[i], taught, now)
	}
	for key, level := range had { // rounding, or a teacher that dropped the key meanwhile
		if _, record := sh.Find([]byte(key)); record != nil && b.levelOf(record, now) < level {
			record.Word0, record.Word1 = uint64(level), uint64(now.MonoMS)
		}
	}
}

// levelOf is the current level of a bucket.
func (b *Bucket) levelOf(r *zone.Record, now clock.Reading) int64 {
	return max(int64(r.Word0)-b.drained(now.MonoMS-int64(r.Word1)), 0)
}

// sequences has the last frame seen of each origin.
func sequences(from []seen) map[zone.Origin]uint64 {
	until := make(map[zone.Origin]uint64, len(from))
	for _, s := range from {
		until[s.origin] = max(until[s.origin], s.sequence)
	}
	return until
}

// knowsAll reports whether a locked shard has all costs that a teacher has seen.
func (b *Bucket) knowsAll(shard int, until map[zone.Origin]uint64, now clock.Reading) bool {
	for name, sequence := range until {
		if name != b.selfOrigin() && b.origin(name, now).applied[shard] < sequence {
			return false
		}
	}
	return true
}

// knowsMore reports whether a locked shard has costs of other nodes that a teacher has not seen.
func (b *Bucket) knowsMore(shard int, until map[zone.Origin]uint64) bool {
	b.originsMu.Lock()
	defer b.originsMu.Unlock()
	for name, o := range b.origins {
		if o.applied[shard] > until[name] {
			return true
		}
	}
	return false
}

// ownSince returns the own costs of a shard, which was just cut, in frames after one; known is false if the journal no
// longer has all of them.
func (b *Bucket) ownSince(sh *zone.Shard, sequence uint64) (groups []heldGroup, known bool) {
	last := sh.LastFrame()
	if last > sequence+ownFramesMost {
		return nil, false
	}
	for sequence++; sequence <= last; sequence++ {
		payload, _, flushedMS, ok := b.store.Journal().Frame(sequence)
		if !ok {
			return nil, false
		}
		r := zone.Read(payload)
		r.Byte()
		for r.Len() > 0 {
			shard, whole := int(r.Byte()), r.Rest()
			skipGroup(&r)
			if records := whole[:len(whole)-r.Len()]; shard == sh.Number() {
				groups = append(groups, heldGroup{b.selfOrigin(), sequence, 0, flushedMS, records})
			}
		}
	}
	return groups, true
}
