package kinds

import (
	"encoding/binary"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// reissuePieceBytes bounds what is collected before it is done: some 20,000 records, for which the disk is waited for once.
const reissuePieceBytes = 1 << 20

const (
	// renewedAheadMS is how far ahead of now fresh stamps begin: above what peers have taken of this node's stamps, which are at most MaxAheadMS
	// ahead, but for some seconds; so that a later write does not lose to an earlier one that a peer has.
	renewedAheadMS = stamp.MaxAheadMS - 3000
	renewalStepMS  = 5000
	// fineMS is how much of the time ahead keeps its milliseconds, coarseBits how many bits the rest loses. Together they last for two years.
	fineMS     = 16_000_000
	coarseBits = 12
	// counterBits is what fresh stamps keep of counters.
	counterBits = 2
)

// renewal gives stamps that are too far ahead others that are not, in their order and above all that stay. They begin where they begin for
// renewalStepMS, so that nodes whose clocks are set back together keep their order, too: a deletion must not lose to what it deleted.
//
// Where it is known by how much time went back, and what was stamped since it was ahead, stamps go back by that: to when the writes were really made.
// Then the nodes need not do it together.
type renewal struct{ fromMS, backMS int64 }

func renewalAt(now clock.Reading) renewal {
	return renewal{fromMS: now.WallMS/renewalStepMS*renewalStepMS + renewedAheadMS}
}

// from is the least stamp that is replaced.
func (r renewal) from() stamp.Stamp { return stamp.At(r.fromMS, 0) }

func (r renewal) of(old stamp.Stamp) stamp.Stamp {
	if r.backMS > 0 {
		return stamp.At(old.MS()-r.backMS, old.Counter())
	}
	aheadMS := old.MS() - r.fromMS
	if aheadMS > fineMS {
		aheadMS = min(fineMS+(aheadMS-fineMS)>>coarseBits, 2*fineMS)
	}
	return r.from() + stamp.Stamp(aheadMS<<counterBits) + stamp.Stamp(min(old.Counter(), 1<<counterBits-1))
}

// Reissue stamps anew what is stamped too far ahead of now: this node's clock was wrong, its peers refuse such records, and
// they would win over everything for as long as it was ahead. When they end does not change. It returns how many they were.
func (g *registers) Reissue(now clock.Reading) int {
	if g.clock.Retreat(now.WallMS); !g.anyAbove(stamp.Highest(now.WallMS)) {
		return 0
	}
	return g.reissue(renewalAt(now), now, func([]byte) {})
}

// TimeWentBack takes back by backMS what was stamped from fromMS on, while time was that far ahead, and returns how many records and clears that were.
func (g *registers) TimeWentBack(fromMS, backMS int64, now clock.Reading) int {
	return g.reissue(renewal{fromMS, backMS}, now, func([]byte) {})
}

// Reissue stamps anew what is stamped too far ahead of now, on disk too. The disk is waited for: after a restart the stamps ahead
// would be back, and would win over what was acknowledged since. A disk that fails says so itself, and its log is written anew.
func (k *Keyval) Reissue(now clock.Reading) int {
	if k.clock.Retreat(now.WallMS); !k.anyAbove(stamp.Highest(now.WallMS)) {
		return 0
	}
	return k.reissue(renewalAt(now), now, k.keepReissued)
}

// TimeWentBack is that of sessions, on disk too.
func (k *Keyval) TimeWentBack(fromMS, backMS int64, now clock.Reading) int {
	return k.reissue(renewal{fromMS, backMS}, now, k.keepReissued)
}

func (k *Keyval) keepReissued(record []byte) { _ = k.keepLocal(record) } // see Reissue

// reissue calls keep, without locks, before it stamps anew what the record says. What wins over that then comes later in a log, too.
func (g *registers) reissue(fresh renewal, now clock.Reading, keep func(record []byte)) (reissued int) {
	g.clock.Retreat(now.WallMS)
	record := []byte{stateReissued}
	wake := false
	do := func() {
		if len(record) == 1 {
			return
		}
		keep(record)
		list := zone.Read(record[1:])
		count, first := g.restamp(&list, true)
		reissued, wake = reissued+count, wake || first
		record = record[:1]
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

// anyAbove says whether a record or a clear is stamped above limit.
func (g *registers) anyAbove(limit stamp.Stamp) bool {
	for number := range zone.Shards {
		if g.shardAbove(g.store.ShardNumber(number), limit) {
			return true
		}
	}
	return false
}

func (g *registers) shardAbove(sh *zone.Shard, limit stamp.Stamp) bool {
	sh.Lock()
	defer sh.Unlock()
	for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
		if sh.Live(slot) && stampOf(sh.At(slot)) > limit {
			return true
		}
	}
	return sh.Clear() > limit
}

// appendAhead appends what of a shard is stamped too far ahead, after slot cursor, each with a fresh stamp:
//
//	key length | key, or the shard's byte where the length is 0: its clear | stamp | fresh stamp
func (g *registers) appendAhead(dst []byte, number int, cursor zone.Slot, fresh renewal) (record []byte, next zone.Slot, done bool) {
	sh := g.store.ShardNumber(number)
	sh.Lock()
	defer sh.Unlock()
	above := stamp.Stamp(0)
	if sh.Clear() >= fresh.from() {
		if above = fresh.of(sh.Clear()); cursor == 0 {
			dst = appendStamps(append(dst, 0, byte(number)), sh.Clear(), above)
		}
	}
	for int(cursor) < sh.Len() && len(dst) < reissuePieceBytes {
		cursor++
		if !sh.Live(cursor) {
			continue
		}
		r := sh.At(cursor)
		if old := stampOf(r); old >= fresh.from() {
			key := sh.Key(r)
			dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
			dst = appendStamps(dst, old, max(fresh.of(old), above+1)) // what is coarse does not count as cleared
		}
	}
	return dst, cursor, int(cursor) >= sh.Len()
}

func appendStamps(dst []byte, old, fresh stamp.Stamp) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, uint64(old)), uint64(fresh))
}

// restamp gives the records of a list their fresh stamps, those that are still there as they were. Peers get them if sent.
func (g *registers) restamp(list *zone.Reader, sent bool) (count int, wake bool) {
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
		done, first := g.restampOne(g.store.ShardNumber(number), key, old, fresh, sent)
		wake = wake || first
		if done {
			count++
		}
	}
	return count, wake
}

func (g *registers) restampOne(sh *zone.Shard, key []byte, old, fresh stamp.Stamp, sent bool) (done, first bool) {
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
			return false, false // it is refused, and comes by again
		}
		sh.Remove(slot)
		return true, false
	}
	hash := zone.KeyHash(key)
	before := elementOf(sh, hash, r)
	r.Word0 = uint64(fresh) // it ends when it would have: that is not by the clock that was wrong
	if !r.Tombstone() {
		sh.Instead(before, elementOf(sh, hash, r))
	}
	return true, sent && sh.MarkDirty(slot, r)
}
