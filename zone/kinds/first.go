package kinds

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"sync/atomic"

	"starling/lib/stamp"
	"starling/zone"
)

// Two nodes restamp a record at different times and by different amounts, or one of them does not at all. So a stamp no
// longer tells that a deletion is later than the record it deleted: another node may still have that with its old
// stamp, or with one that was lowered by less. Therefore a restamped record keeps its first stamp, and the time since
// which the clock that made it was ahead. Both are sent with it. Two restamped records are compared by their first
// stamps. A restamped record is compared by its first stamp with others that were stamped since its clock was ahead. A
// write over a restamped record continues from its first stamp, so it wins over all copies of that record. Of two
// writes that did not know of each other, either may win.

// first is the first stamp of a record with a lower one, or the continuation of the one that it replaced. It is
// compared with stamps from sinceMS on. Zero is none.
type first struct {
	stamp   stamp.Stamp
	sinceMS int64
}

// noted is a first stamp with the monotonic time at which it was noted; 0 before the first tick.
type noted struct {
	first
	atMS int64
}

// firsts are those of a zone, by shard and hash of the key, under the shards' locks.
type firsts struct {
	count   atomic.Int64
	byShard [zone.Shards]map[uint64]noted
	sweptMS [zone.Shards]int64
}

const (
	// maxFirsts is the limit per zone, some 4 MB. Records restamped beyond it can return after they were replaced, from
	// a node that did not restamp them.
	maxFirsts = 1 << 16
	// sweepFirstsEveryMS is the interval of dropping old ones: they live as long as tombstones.
	sweepFirstsEveryMS = 60_000
)

// firstOf is the first stamp of a record, none if that is its stamp.
func (g *registers) firstOf(sh *zone.Shard, hash uint64, r *zone.Record) first {
	if g.firsts.count.Load() == 0 {
		return first{}
	}
	return g.firsts.byShard[sh.Number()][hash].first.over(stampOf(r))
}

// over is f if it is later than the stamp, else none.
func (f first) over(s stamp.Stamp) first {
	if f.stamp <= s {
		return first{}
	}
	return f
}

// next is the first stamp of a write over the record of f.
func (f first) next() first { return first{f.stamp + 1, f.sinceMS} }

// noteFirst keeps the first stamp of a record, or drops the one kept so far if there is none.
func (g *registers) noteFirst(sh *zone.Shard, hash uint64, r *zone.Record, f first) {
	if f = f.over(stampOf(r)); f.stamp == 0 {
		g.dropFirst(sh, hash)
		return
	}
	kept := g.firsts.byShard[sh.Number()]
	if _, known := kept[hash]; !known {
		if g.firsts.count.Load() >= maxFirsts {
			return
		}
		g.firsts.count.Add(1)
	}
	if kept == nil {
		kept = make(map[uint64]noted)
		g.firsts.byShard[sh.Number()] = kept
	}
	kept[hash] = noted{first: f, atMS: g.seenMS.Load()}
}

func (g *registers) dropFirst(sh *zone.Shard, hash uint64) {
	if g.firsts.count.Load() == 0 {
		return
	}
	kept := g.firsts.byShard[sh.Number()]
	if _, known := kept[hash]; known {
		delete(kept, hash)
		g.firsts.count.Add(-1)
	}
}

// sweepFirsts drops first stamps older than the tombstone lifetime.
func (g *registers) sweepFirsts(sh *zone.Shard, nowMS int64) {
	swept := &g.firsts.sweptMS[sh.Number()]
	if g.firsts.count.Load() == 0 || nowMS-*swept < sweepFirstsEveryMS {
		return
	}
	*swept = nowMS
	kept := g.firsts.byShard[sh.Number()]
	for hash, f := range kept {
		switch {
		case f.atMS == 0:
			kept[hash] = noted{first: f.first, atMS: nowMS}
		case nowMS-f.atMS > g.tombstoneMS.Load():
			g.dropFirst(sh, hash)
		}
	}
}

// order compares a write with the record of its key by first stamps: above 0 the write is later, below 0 it is earlier,
// and 0 means that the stamps decide.
func (g *registers) order(sh *zone.Shard, hash uint64, w *write, r *zone.Record) int {
	mine, theirs := g.firstOf(sh, hash, r), w.first.over(w.stamp)
	switch {
	case mine.stamp != 0 && theirs.stamp != 0:
		return cmp.Compare(theirs.stamp, mine.stamp)
	case w.stamp == stampOf(r): // one of them may be a copy whose first stamp is dropped
		return 0
	case theirs.stamp != 0 && stampOf(r).MS() >= theirs.sinceMS:
		return cmp.Compare(theirs.stamp, stampOf(r))
	case mine.stamp != 0 && w.stamp.MS() >= mine.sinceMS:
		return cmp.Compare(w.stamp, mine.stamp)
	}
	return 0
}

// isCopy reports whether a write is the state of a record that is here, under any stamp.
func (g *registers) isCopy(sh *zone.Shard, hash uint64, w *write, r *zone.Record) bool {
	return !w.tombstone && !r.Tombstone() && w.stamp.MS() != 0 &&
		max(w.first.stamp, w.stamp) == max(g.firstOf(sh, hash, r).stamp, stampOf(r)) &&
		bytes.Equal(w.value, sh.Value(r))
}

// follow gives a write over a record the next first stamp after that record's.
func (g *registers) follow(sh *zone.Shard, hash uint64, w *write, r *zone.Record) {
	w.first = g.firstOf(sh, hash, r).next().over(w.stamp)
}

// again is the first stamp of a restamped record; the clock that made its stamp was ahead since sinceMS. The record is
// compared with all that it may have replaced, even if that was stamped before: with records stamped since the key
// appeared here, with the one that a deletion deleted, and with those that it was compared with so far.
func (g *registers) again(sh *zone.Shard, hash uint64, r *zone.Record, sinceMS int64) first {
	sinceMS = min(sinceMS, bornMS(r))
	if r.Tombstone() && r.Word1 != 0 {
		sinceMS = min(sinceMS, stamp.Stamp(r.Word1).MS())
	}
	f := g.firstOf(sh, hash, r)
	if f.stamp == 0 {
		return first{stampOf(r), sinceMS}
	}
	return first{f.stamp, min(f.sinceMS, sinceMS)}
}

// A first stamp is sent before its record, as a deletion with an end. Its stamp is early in 1970, so that older
// releases read it as a deletion older than everything:
//
//	key length*4 + 3 | key | (first ms - since) - base | counter of the first stamp | first ms - timeout
const headFirst = headTombstone | headEnds

func (e *registerEncoder) appendFirst(dst, key []byte, f first) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(len(key))<<2|headFirst), key...)
	dst = e.appendStamp(dst, stamp.At(f.stamp.MS()-f.sinceMS, f.stamp.Counter()))
	return binary.AppendVarint(dst, f.stamp.MS()-e.timeoutMS)
}

// readFirst reads the rest of one.
func (d *registerDecoder) readFirst(key []byte, at stamp.Stamp) {
	afterMS := d.Varint()
	ms := afterMS + d.timeoutMS
	if afterMS > maxDeltaMS || afterMS < -maxDeltaMS || ms <= 0 || ms >= maxWallMS {
		d.Fail()
		return
	}
	d.firstKey, d.first = key, first{stamp.At(ms, at.Counter()), ms - at.MS()}
}
