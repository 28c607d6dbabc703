package kinds

import (
	"encoding/binary"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// reissuePieceBytes bounds what is collected before it is done: some 20,000 records, for which the disk is waited for
// once.
const reissuePieceBytes = 1 << 20

// seenAheadMS is how far ahead of the time of the write a stamp stays that is taken back. A write that replaced what a
// node with another clock had written is stamped above that, which may be as far ahead of time as stamps are taken, or
// a little less; it must not lose to it now.
const seenAheadMS = stamp.MaxAheadMS - 5000

// renewal takes stamps back that were made while time was ahead: from on, by back. Which stamp becomes which does not
// depend on who does it, nor when; so all nodes keep the order of writes, and a deletion does not lose to what it
// deleted.
type renewal struct {
	from   stamp.Stamp
	backMS int64
}

func (r renewal) of(old stamp.Stamp) stamp.Stamp { return stamp.At(old.MS()-r.backMS, old.Counter()) }

// Reissue stamps anew what is stamped too far ahead of now: this node's clock was wrong, its peers refuse such records,
// and they would win over everything for as long as it was ahead. When they end does not change. It returns how many
// they were.
func (g *registers) Reissue(now clock.Reading) int {
	return g.reissueAhead(now, func([]byte) {})
}

// TimeWentBack takes back by backMS what was stamped from fromMS on, while time was that far ahead, and returns how
// many records and clears that were.
func (g *registers) TimeWentBack(fromMS, backMS int64, now clock.Reading) int {
	return g.reissue(fromMS, backMS-seenAheadMS, now, func([]byte) {})
}

// Reissue stamps anew what is stamped too far ahead of now, on disk too. The disk is waited for: after a restart the
// stamps ahead would be back, and would win over what was acknowledged since. A disk that fails says so itself, and its
// log is written anew.
func (k *Keyval) Reissue(now clock.Reading) int {
	return k.reissueAhead(now, k.keepReissued)
}

// TimeWentBack is that of sessions, on disk too.
func (k *Keyval) TimeWentBack(fromMS, backMS int64, now clock.Reading) int {
	return k.reissue(fromMS, backMS-seenAheadMS, now, k.keepReissued)
}

func (k *Keyval) keepReissued(record []byte) { _ = k.keepLocal(record) } // see Reissue

// reissueAhead takes back what is ahead by so much that the last of it was made now: nothing tells by how much time was
// ahead.
func (g *registers) reissueAhead(now clock.Reading, keep func(record []byte)) (reissued int) {
	fromMS := now.WallMS + 1
	last := g.greatest()
	if last <= stamp.Highest(now.WallMS) {
		return 0
	}
	return g.reissue(fromMS, last.MS()-now.WallMS, now, keep)
}

// reissue calls keep, without locks, before it stamps anew what the record says. What wins over that then comes later
// in a log, too.
func (g *registers) reissue(fromMS, backMS int64, now clock.Reading, keep func(record []byte)) (reissued int) {
	g.clock.Retreat(now.WallMS)
	fresh := renewal{from: stamp.At(fromMS, 0), backMS: backMS}
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

// greatest returns the greatest stamp there is.
func (g *registers) greatest() (greatest stamp.Stamp) {
	for number := range zone.Shards {
		greatest = max(greatest, greatestOf(g.store.ShardNumber(number)))
	}
	return greatest
}

func greatestOf(sh *zone.Shard) stamp.Stamp {
	sh.Lock()
	defer sh.Unlock()
	greatest := sh.Clear()
	for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
		if sh.Live(slot) {
			greatest = max(greatest, stampOf(sh.At(slot)))
		}
	}
	return greatest
}

// appendAhead appends what of a shard is stamped too far ahead, after slot cursor, each with a fresh stamp:
//
//	key length | key, or the shard's byte where the length is 0: its clear | stamp | fresh stamp
func (g *registers) appendAhead(
	dst []byte,
	number int,
	cursor zone.Slot,
	fresh renewal,
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

// restamp gives the records of a list their fresh stamps, those that are still there as they were. Peers get them if
// sent.
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
