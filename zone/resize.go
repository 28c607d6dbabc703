package zone

import (
	"cmp"
	"slices"

	"starling/lib/clock"
	"starling/lib/stamp"
)

// A reload changes a zone in place: its requests and those of the previous configuration, which may last, use one zone.

// Describe changes what peers are told of the zone.
func (s *Store) Describe(change func(*Info)) {
	info := s.Info()
	change(&info)
	s.info.Store(&info)
}

// unboundBytes is more than any zone has, and far from overflow.
const unboundBytes = 1 << 60

// Unbound lifts the limit until SetBytes: while a state is loaded, which may be that of a larger zone.
func (s *Store) Unbound() { s.limit.Store(unboundBytes) }

// SetBytes changes the budget. A zone that has grown has room again for what it evicted or rejected, so peers compare
// it again. One that has shrunk may have more records than its budget allows: see KeepNewest.
func (s *Store) SetBytes(bytes int64) {
	grown := bytes > s.limit.Swap(bytes)
	// The tombstones stay: they end by themselves, and members may need each of them.
	s.graveBytes.Store(max(bytes, minGraveBytes, s.graves.Load()))
	s.Describe(func(info *Info) { info.Bytes = bytes })
	if !grown {
		return
	}
	for i := range s.lacks {
		s.lacks[i].bytes.Store(0)
	}
	s.incomplete.Store(false)
	if whole := s.sums.whole.Load(); whole != nil && whole.Cells() < sketchCellsFor(bytes) {
		s.compareAll()
	}
}

// aged is a record for KeepNewest: the age orders records, the newest has the greatest.
type aged struct {
	age  uint64
	cost int64
}

// keepRounds is how often KeepNewest tries again: records that waited to be sent were sent meanwhile.
const keepRounds = 8

// KeepNewest removes the oldest records until the rest fits into the budget, and returns how many, and the size of the
// smallest. Records that wait to be sent are sent first. Nothing is deleted on peers.
func (s *Store) KeepNewest(ageOf func(r *Record) uint64, now clock.Reading) (dropped int, smallest int64) {
	d := dropping{store: s, ageOf: ageOf, smallest: unboundBytes}
	for range keepRounds {
		if s.live.Load() <= s.Limit() {
			break
		}
		if s.Synced() {
			s.Flush(now)
		}
		d.round()
	}
	s.evicted.Add(int64(d.dropped))
	return d.dropped, d.smallest
}

// Incomplete notes that peers may have records that were evicted here, until the zone grows.
func (s *Store) Incomplete() { s.incomplete.Store(true) }

// dropping is one run of KeepNewest.
type dropping struct {
	store    *Store
	ageOf    func(r *Record) uint64
	dropped  int
	smallest int64
}

// drop removes a record of a locked shard, unless it waits to be sent.
func (d *dropping) drop(sh *Shard, slot Slot, r *Record) {
	if r.Dirty() {
		return
	}
	d.smallest = min(d.smallest, CostBytes(int(r.keyBytes), int(r.valueBytes)))
	d.dropped++
	sh.Remove(slot)
}

// round removes records that are older than those that fit.
func (d *dropping) round() {
	s, ageOf := d.store, d.ageOf
	var all []aged
	s.eachLive(func(_ *Shard, _ Slot, r *Record) {
		all = append(all, aged{ageOf(r), CostBytes(int(r.keyBytes), int(r.valueBytes))})
	})
	slices.SortFunc(all, func(a, b aged) int { return cmp.Compare(b.age, a.age) }) // the newest first
	left, oldest := s.Limit(), uint64(0)
	for _, one := range all {
		if left -= one.cost; left < 0 {
			oldest = one.age // and those of this age as far as there is room
			break
		}
	}
	s.eachLive(func(sh *Shard, slot Slot, r *Record) {
		if ageOf(r) < oldest {
			d.drop(sh, slot, r)
		}
	})
	s.eachLive(func(sh *Shard, slot Slot, r *Record) {
		if ageOf(r) == oldest && s.live.Load() > s.Limit() {
			d.drop(sh, slot, r)
		}
	})
}

// eachLive visits all records but tombstones, under the lock of their shard. visit may remove the record.
func (s *Store) eachLive(visit func(sh *Shard, slot Slot, r *Record)) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.Lock()
		for n := len(sh.slab); n > 0; n-- { // removing the last record frees the slab
			if slot := Slot(n); sh.Live(slot) && !sh.at(slot).Tombstone() {
				visit(sh, slot, sh.at(slot))
			}
		}
		sh.Unlock()
	}
}

// sketchCellsFor is how many cells the sketch of a zone needs: one of a small zone is small.
func sketchCellsFor(bytes int64) int {
	return SketchCells(int(min(bytes/minComparedBytes, MaxSketchCells)))
}

// compareAll makes a new sketch of the zone, shard by shard. There is none until all are in it.
func (s *Store) compareAll() {
	sketch := NewSketch(sketchCellsFor(s.Limit()))
	s.sums.whole.Store(nil)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.Lock()
		s.sums.mu.Lock()
		sh.elements(sketch.Add)
		s.sums.mu.Unlock()
		sh.sketch = sketch
		sh.Unlock()
	}
	s.sums.whole.Store(sketch)
}

// elements yields what the digest of a locked shard covers.
func (sh *Shard) elements(yield func(Element)) {
	if sh.clear != 0 {
		yield(ClearOf(sh.number, sh.clear))
	}
	for n := range sh.slab {
		if r := &sh.slab[n]; r.state&stateLive != 0 && !r.Tombstone() {
			yield(Element{KeyHash(sh.Key(r)), VersionOf(stamp.Stamp(r.Word0), false, sh.Value(r))})
		}
	}
}
