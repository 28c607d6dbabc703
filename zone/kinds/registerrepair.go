package kinds

import (
	"slices"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// This file has what repair needs of registers: sketches of some shards, and the records of elements in which peers
// differ.

// Sketch returns the sketch of shards [first, first+count) with at most that many cells. That of all shards is updated
// with each write; for fewer shards, each record is visited, one shard at a time under its lock.
func (g *registers) Sketch(first, count, cells int) *zone.Sketch {
	if count == zone.Shards {
		return g.store.Sketch(cells)
	}
	sketch := zone.NewSketch(cells)
	for number := first; number < first+count; number++ {
		g.sketchShard(number, sketch)
	}
	return sketch
}

func (g *registers) sketchShard(number int, sketch *zone.Sketch) {
	sh := g.store.ShardNumber(number)
	sh.Lock()
	defer sh.Unlock()
	if sh.Clear() != 0 {
		sketch.Add(zone.ClearOf(number, sh.Clear()))
	}
	for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
		if r := sh.At(slot); sh.Live(slot) && !r.Tombstone() {
			sketch.Add(elementOf(sh, zone.KeyHash(sh.Key(r)), r))
		}
	}
}

// endsSoonMS: records that end within it are not repaired. Peers drop them at slightly different times, and they would
// not be missed.
const endsSoonMS = 2000

// AppendRecords appends the records of wanted, which is sorted by key, to dst until that holds about maxBytes. Elements
// that are not here in exactly that version are skipped: the journal brings what replaced them. It appends nothing when
// it finds none, and returns the elements not yet visited and the number of appended records.
func (g *registers) AppendRecords(
	wanted []zone.Element,
	dst []byte,
	maxBytes int,
	now clock.Reading,
) (payload []byte, rest []zone.Element, records int) {
	e := registerEncoder{zone: g}
	start := len(dst)
	dst = e.Begin(dst, now)
	var f finder
	for len(wanted) > 0 && (records == 0 || len(dst) < maxBytes) {
		shard := zone.ShardOf(wanted[0].Key)
		n := 1
		for n < len(wanted) && zone.ShardOf(wanted[n].Key) == shard {
			n++
		}
		var looked, appended int
		dst, looked, appended = g.appendOfShard(&e, &f, shard, wanted[:n], dst, maxBytes, now)
		wanted, records = wanted[looked:], records+appended
	}
	if records == 0 {
		return dst[:start], wanted, 0
	}
	return dst, wanted, records
}

// appendOfShard appends the group of one shard and returns how many of wanted it visited.
func (g *registers) appendOfShard(
	e *registerEncoder,
	f *finder,
	shard int,
	wanted []zone.Element,
	dst []byte,
	maxBytes int,
	now clock.Reading,
) (payload []byte, looked, records int) {
	sh := g.store.ShardNumber(shard)
	sh.Lock()
	defer sh.Unlock()
	start := len(dst)
	dst = append(dst, byte(shard))
	for i, slot := range f.find(sh, wanted) {
		if records > 0 && len(dst) >= maxBytes {
			break
		}
		looked = i + 1
		switch {
		case sh.Clear() != 0 && wanted[i] == zone.ClearOf(shard, sh.Clear()):
			dst = e.AppendClear(dst, sh.Clear())
		case slot == 0 || g.endsSoon(sh.At(slot), now):
			continue
		default:
			r := sh.At(slot)
			dst = e.AppendChange(dst, r, sh.Key(r), sh.Value(r))
		}
		records++
	}
	if records == 0 {
		return dst[:start], looked, 0
	}
	return append(dst, zone.GroupEnd), looked, records
}

func (g *registers) endsSoon(r *zone.Record, now clock.Reading) bool {
	if r.Tombstone() {
		return g.endMS(r) <= now.MonoMS+endsSoonMS
	}
	return r.Word1 != 0 && int64(r.Word1) <= now.MonoMS+endsSoonMS
}

// finder looks for the records of a few elements in a shard that is indexed by something else: it visits all records,
// but reads a key only if the time of the stamp is that of an element.
type finder struct {
	times []uint64 // a bit per time, modulo its size
	slots []zone.Slot
}

// timesPerElement keeps the bits sparse: one record in so many is read in vain.
const timesPerElement = 16

// find returns, for each of wanted, the slot of its record or zero.
func (f *finder) find(sh *zone.Shard, wanted []zone.Element) []zone.Slot {
	words := 1
	for words*64 < len(wanted)*timesPerElement {
		words *= 2
	}
	f.times = slices.Grow(f.times[:0], words)[:words]
	clear(f.times)
	mask := uint64(words*64 - 1)
	for _, e := range wanted {
		at := uint64(e.MS()) & mask
		f.times[at/64] |= 1 << (at % 64)
	}
	f.slots = slices.Grow(f.slots[:0], len(wanted))[:len(wanted)]
	clear(f.slots)
	for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
		r := sh.At(slot)
		at := r.Word0 >> 16 & mask
		if f.times[at/64]&(1<<(at%64)) == 0 || !sh.Live(slot) {
			continue
		}
		e := elementOf(sh, zone.KeyHash(sh.Key(r)), r)
		if i, found := slices.BinarySearchFunc(wanted, e, zone.Element.Compare); found {
			f.slots[i] = slot
		}
	}
	return f.slots
}

// Mend merges the output of a peer's AppendRecords or TeachShard. It evicts no record to make room.
func (g *registers) Mend(payload []byte, trust zone.Trust, now clock.Reading) (zone.Applied, error) {
	return g.mend(payload, trust, now, func(int, []byte, *write) {})
}

func (g *registers) mend(
	payload []byte,
	trust zone.Trust,
	now clock.Reading,
	buried func(shard int, key []byte, w *write),
) (zone.Applied, error) {
	space := room{bytes: g.store.Limit(), repaired: true, goneMS: trust.GoneMS, doubts: trust.Doubts, buried: buried}
	return g.merge(payload, space, stamp.Highest(now.WallMS), now)
}

// TombstoneLifeMS is the tombstone lifetime.
func (g *registers) TombstoneLifeMS() int64 { return g.tombstoneMS.Load() }
