package kinds

import (
	"encoding/binary"
	"slices"
	"sync/atomic"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// reissuePieceBytes bounds what is collected before it is applied: some 20,000 records, which share one wait for the
// disk.
const reissuePieceBytes = 1 << 20

// seenAheadMS is how far ahead of the time of the write a lowered stamp stays. A write that replaced a record of a node
// with another clock has a stamp above that record's, which can be as far ahead as stamps are accepted, or a little
// less; it must not lose to it now.
const seenAheadMS = stamp.MaxAheadMS - 100

// renewal lowers stamps that were made while time was ahead: from on, by back, or, if that is not known, to just above
// the stamps that stay, in their order. Copies on other nodes are recognized by their first stamps.
type renewal struct {
	from    stamp.Stamp
	sinceMS int64
	backMS  int64
	ranks   []stamp.Stamp // all there are from on, sorted; nil where backMS says all
}

func (r *renewal) of(old stamp.Stamp) stamp.Stamp {
	if r.ranks == nil {
		return stamp.At(old.MS()-r.backMS, old.Counter())
	}
	rank, _ := slices.BinarySearch(r.ranks, old)
	return r.from + stamp.Stamp(rank)
}

// Reissue restamps records stamped too far ahead of now: this node's clock was wrong, its peers reject such records,
// and they would win over everything for as long as it was ahead. Their ends do not change. It returns their number.
func (g *registers) Reissue(now clock.Reading) int {
	return g.reissueAhead(now, func([]byte) {})
}

// TimeWentBack lowers stamps from fromMS on by backMS: time was that far ahead when they were made. It returns the
// number of records and clears.
func (g *registers) TimeWentBack(fromMS, backMS int64, now clock.Reading) int {
	return g.reissue(g.takenBack(fromMS, backMS, now), now, func([]byte) {})
}

// Reissue restamps records stamped too far ahead of now, on disk too. It waits for the disk: after a restart, the old
// stamps would be back and would win over later acknowledged writes. A failing disk reports itself, and its log is
// rewritten.
func (k *Keyval) Reissue(now clock.Reading) int {
	return k.reissueAhead(now, k.keepReissued)
}

// TimeWentBack is that of sessions, on disk too.
func (k *Keyval) TimeWentBack(fromMS, backMS int64, now clock.Reading) int {
	return k.reissue(k.takenBack(fromMS, backMS, now), now, k.keepReissued)
}

func (k *Keyval) keepReissued(record []byte) { _ = k.keepLocal(record) } // see Reissue

// takenBack is the renewal of stamps from fromMS on, while time was ahead by backMS. If older stamps are too far ahead,
// too, time is behind now: writes over them must not fall behind them. Then their first stamps count from the lowest
// lowered stamp on: a record stamped above that, but before the first stamps count, would win over a restamped one, and
// soon be replaced by a write that loses to it.
func (g *registers) takenBack(fromMS, backMS int64, now clock.Reading) *renewal {
	back := &renewal{from: stamp.At(fromMS, 0), sinceMS: fromMS, backMS: backMS - seenAheadMS}
	highest := stamp.Highest(now.WallMS)
	if ahead := g.stampsFrom(highest + 1); len(ahead) > 0 && ahead[0] < back.from {
		back.sinceMS = min(highest.MS()+1, fromMS-back.backMS)
	}
	return back
}

// reissueAhead also restamps records that are almost too far ahead, if some are too far: the lead of the clock is
// unknown.
func (g *registers) reissueAhead(now clock.Reading, keep func(record []byte)) (reissued int) {
	fresh := renewal{from: stamp.At(now.WallMS+seenAheadMS, 0)}
	fresh.ranks = g.stampsFrom(fresh.from)
	tooFar, _ := slices.BinarySearch(fresh.ranks, stamp.Highest(now.WallMS)+1)
	if tooFar == len(fresh.ranks) {
		return 0
	}
	fresh.sinceMS = fresh.from.MS() // the overwritten record is not here, and may have been stamped from then on
	return g.reissue(&fresh, now, keep)
}

// reissue calls keep, without locks, before it restamps the records in it. Writes that win over them come later in a
// log, too.
func (g *registers) reissue(fresh *renewal, now clock.Reading, keep func(record []byte)) (reissued int) {
	g.clock.Retreat(now.WallMS)
	for _, mark := range []*atomic.Int64{&g.gaveUpMS, &g.lacksMS} {
		if ms := mark.Load(); ms >= fresh.from.MS() {
			mark.CompareAndSwap(ms, fresh.of(stamp.At(ms, 0)).MS())
		}
	}
	record := binary.LittleEndian.AppendUint64([]byte{stateTakenBack}, uint64(fresh.sinceMS))
	head := len(record)
	wake := false
	do := func() {
		if len(record) == head {
			return
		}
		keep(record)
		list := zone.Read(record[head:])
		count, first := g.restamp(&list, fresh.sinceMS, true)
		reissued, wake = reissued+count, wake || first
		record = record[:head]
	}
	for number := range zone.Shards {
		pinned := g.store.ShardNumber(number)
		pinned.Lock()
		pinned.Pin()
		pinned.Unlock()
		for cursor, done := zone.Slot(0), false; !done; {
			record, cursor, done = g.appendAhead(record, number, cursor, fresh)
			if len(record) >= reissuePieceBytes {
				do()
			}
		}
		pinned.Lock()
		pinned.Unpin()
		pinned.Unlock()
	}
	do()
	if wake {
		g.store.Wake(false)
	}
	return reissued
}

// stampsFrom returns the stamps there are from one on, those of clears included, sorted.
func (g *registers) stampsFrom(from stamp.Stamp) (found []stamp.Stamp) {
	for number := range zone.Shards {
		found = appendStampsFrom(found, g.store.ShardNumber(number), from)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func appendStampsFrom(found []stamp.Stamp, sh *zone.Shard, from stamp.Stamp) []stamp.Stamp {
	sh.Lock()
	defer sh.Unlock()
	if sh.Clear() >= from {
		found = append(found, sh.Clear())
	}
	for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
		if sh.Live(slot) && stampOf(sh.At(slot)) >= from {
			found = append(found, stampOf(sh.At(slot)))
		}
	}
	return found
}

// appendAhead appends the records of a shard that are stamped too far ahead, after slot cursor, each with a fresh
// stamp:
//
//	key length | key, or the shard's byte where the length is 0: its clear | stamp | fresh stamp
func (g *registers) appendAhead(
	dst []byte,
	number int,
	cursor zone.Slot,
	fresh *renewal,
) (record []byte, next zone.Slot, done bool) {
	sh := g.store.ShardNumber(number)
	sh.Lock()
	defer sh.Unlock()
	if cursor == 0 && sh.Clear() >= fresh.from {
		dst = appendStamps(append(dst, 0, byte(number)), sh.Clear(), fresh.of(sh.Clear()))
	}
	for int(cursor) < sh.Len() && len(dst) < reissuePieceBytes {
		cursor++
		if !sh.Live(cursor) {
			continue
		}
		r := sh.At(cursor)
		if old := stampOf(r); old >= fresh.from {
			key := sh.Key(r)
			dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
			dst = appendStamps(dst, old, fresh.of(old))
		}
	}
	return dst, cursor, int(cursor) >= sh.Len()
}

func appendStamps(dst []byte, old, fresh stamp.Stamp) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, uint64(old)), uint64(fresh))
}

// restamp gives the records of a list their fresh stamps if they are unchanged. The clock that made the old stamps was
// ahead since sinceMS. Peers get the records if sent.
func (g *registers) restamp(list *zone.Reader, sinceMS int64, sent bool) (count int, wake bool) {
	for list.Len() > 0 {
		length, number := list.Uvarint(), 0
		var key []byte
		if length == 0 {
			number = int(list.Byte())
		} else {
			key = list.Bytes(length)
			number = zone.ShardOf(zone.KeyHash(key))
		}
		old, fresh := stamp.Stamp(list.Uint64()), stamp.Stamp(list.Uint64())
		if list.Failed() {
			return count, wake
		}
		g.clock.Observe(fresh)
		done, first := g.restampOne(g.store.ShardNumber(number), key, old, fresh, min(sinceMS, old.MS()), sent)
		wake = wake || first
		if done {
			count++
		}
	}
	return count, wake
}

func (g *registers) restampOne(
	sh *zone.Shard,
	key []byte,
	old, fresh stamp.Stamp,
	sinceMS int64,
	sent bool,
) (done, first bool) {
	sh.Lock()
	defer sh.Unlock()
	if key == nil {
		if sh.Clear() != old {
			return false, false
		}
		return true, sh.MoveClear(fresh, sent)
	}
	slot, r := sh.Find(key)
	switch {
	case r == nil || stampOf(r) != old:
		return false, false
	case fresh <= sh.Clear(): // cleared since
		if r.Dirty() {
			return false, false // it is rejected, and arrives again
		}
		sh.Remove(slot)
		return true, false
	}
	hash := zone.KeyHash(key)
	before, had := elementOf(sh, hash, r), g.again(sh, hash, r, sinceMS)
	r.Word0 = uint64(fresh) // its end does not change: that is not on the clock that was wrong
	g.noteFirst(sh, hash, r, had)
	if !r.Tombstone() {
		sh.Instead(before, elementOf(sh, hash, r))
	}
	return true, sent && sh.MarkDirty(slot, r)
}
