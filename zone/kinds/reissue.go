package kinds

import (
	"encoding/binary"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// reissuePieceBytes bounds what is collected before it is done: some 20,000 records, for which the disk is waited for once.
const reissuePieceBytes = 1 << 20

// Reissue stamps anew what is stamped too far ahead of now: this node's clock was wrong, its peers refuse such records, and
// they would win over everything for as long as it was ahead. They become fresh writes. It returns how many they were.
func (g *registers) Reissue(now clock.Reading) int { return g.reissue(now, func([]byte) {}) }

// Reissue stamps anew what is stamped too far ahead of now, on disk too. The disk is waited for: after a restart the stamps ahead
// would be back, and would win over what was acknowledged since. A disk that fails says so itself, and its log is written anew.
func (k *Keyval) Reissue(now clock.Reading) int {
	return k.reissue(now, func(record []byte) {
		_ = k.keepLocal(record) // see above
	})
}

// reissue calls keep, without locks, before it stamps anew what the record says. What wins over that then comes later in a log, too.
func (g *registers) reissue(now clock.Reading, keep func(record []byte)) (reissued int) {
	g.clock.Retreat(now.WallMS)
	limit := stamp.Highest(now.WallMS)
	record := []byte{stateReissued}
	wake := false
	do := func() {
		if len(record) == 1 {
			return
		}
		keep(record)
		list := zone.Read(record[1:])
		count, first := g.restamp(&list, true, now)
		reissued, wake = reissued+count, wake || first
		record = record[:1]
	}
	for number := range zone.Shards {
		pinned := g.store.ShardNumber(number)
		pinned.Lock()
		pinned.Pin()
		pinned.Unlock()
		for cursor, done := zone.Slot(0), false; !done; {
			record, cursor, done = g.appendAhead(record, number, cursor, limit, now)
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

// appendAhead appends what of a shard is stamped above limit, after slot cursor, each with a fresh stamp:
//
//	key length | key, or the shard's byte where the length is 0: its clear | stamp | fresh stamp
func (g *registers) appendAhead(dst []byte, number int, cursor zone.Slot, limit stamp.Stamp, now clock.Reading) (record []byte, next zone.Slot, done bool) {
	sh := g.store.ShardNumber(number)
	sh.Lock()
	defer sh.Unlock()
	above := sh.Clear()
	if above > limit {
		above = 0 // the fresh one is less than what the clock gives next
		if cursor == 0 {
			dst = appendStamps(append(dst, 0, byte(number)), sh.Clear(), g.clock.Next(now.WallMS, 0))
		}
	}
	for int(cursor) < sh.Len() && len(dst) < reissuePieceBytes {
		cursor++
		if !sh.Live(cursor) {
			continue
		}
		r := sh.At(cursor)
		if old := stamp.Stamp(r.Word0); old > limit {
			key := sh.Key(r)
			dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
			dst = appendStamps(dst, old, g.clock.Next(now.WallMS, above))
		}
	}
	return dst, cursor, int(cursor) >= sh.Len()
}

func appendStamps(dst []byte, old, fresh stamp.Stamp) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, uint64(old)), uint64(fresh))
}

// restamp gives the records of a list their fresh stamps, those that are still there as they were. Peers get them if sent.
func (g *registers) restamp(list *zone.Reader, sent bool, now clock.Reading) (count int, wake bool) {
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
		done, first := g.restampOne(g.store.ShardNumber(number), key, old, fresh, sent, now)
		wake = wake || first
		if done {
			count++
		}
	}
	return count, wake
}

func (g *registers) restampOne(sh *zone.Shard, key []byte, old, fresh stamp.Stamp, sent bool, now clock.Reading) (done, first bool) {
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
	case r == nil || stamp.Stamp(r.Word0) != old:
		return false, false
	case fresh <= sh.Clear(): // cleared since
		if r.Dirty() {
			return false, false // it is refused, and comes by again
		}
		sh.Remove(slot)
		return true, false
	}
	hash := zone.KeyHash(key)
	before, oldDueMS := elementOf(sh, hash, r), g.DueMS(r)
	r.Word0 = uint64(fresh)
	if r.Word1 != 0 {
		// The end was reckoned by the wrong clock, too.
		r.Word1 = uint64(max(int64(r.Word1)-(old.MS()-fresh.MS()), 1))
	}
	sh.Instead(before, elementOf(sh, hash, r))
	sh.Due(slot, r, oldDueMS, g.DueMS(r), now.WallMS)
	return true, sent && sh.MarkDirty(slot, r)
}
