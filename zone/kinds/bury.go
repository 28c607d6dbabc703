package kinds

import (
	"slices"

	"starling/lib/clock"
	"starling/zone"
)

// buriedForMS is the lifetime of Bury's tombstones: long enough for all peers on this side of a partition to get them.
const buriedForMS = 60_000

// burial is a record that was deleted, and its tombstone.
type burial struct {
	key  []byte
	gone write
}

// Bury deletes records that were written by throughMS and deleted elsewhere since, and whose tombstones are gone. The
// new tombstones have early stamps, which beat nothing written in the last TombstoneLifeMS less a minute, or, if the
// record is younger, just beat that. kept are the records that stay: a restamped one counts as written at its first
// stamp.
func (g *registers) Bury(
	elements []zone.Element,
	throughMS int64,
	now clock.Reading,
) (buried int, kept []zone.Element) {
	return g.bury(elements, throughMS, now, func(int, []byte, *write) {})
}

// bury calls buried, without locks, for each record it deleted.
func (g *registers) bury(
	elements []zone.Element,
	throughMS int64,
	now clock.Reading,
	buried func(shard int, key []byte, w *write),
) (count int, kept []zone.Element) {
	if g.tombstoneMS.Load() == 0 {
		return 0, nil
	}
	wake := false
	var f finder
	for len(elements) > 0 {
		shard := zone.ShardOf(elements[0].Key)
		n := 1
		for n < len(elements) && zone.ShardOf(elements[n].Key) == shard {
			n++
		}
		burials, stay, first := g.buryInShard(&f, g.store.ShardNumber(shard), elements[:n], throughMS, now)
		elements, count, wake = elements[n:], count+len(burials), wake || first
		kept = append(kept, stay...)
		for i := range burials {
			buried(shard, burials[i].key, &burials[i].gone)
		}
	}
	if wake {
		g.store.Wake(false)
	}
	return count, kept
}

func (g *registers) buryInShard(
	f *finder,
	sh *zone.Shard,
	elements []zone.Element,
	throughMS int64,
	now clock.Reading,
) (burials []burial, kept []zone.Element, first bool) {
	sh.Lock()
	defer sh.Unlock()
	for i, slot := range f.find(sh, elements) {
		if slot == 0 || sh.At(slot).Tombstone() {
			continue
		}
		r := sh.At(slot)
		w := write{stamp: stampOf(r), first: g.firstOf(sh, elements[i].Key, r)}
		if w.first.stamp != 0 && w.first.stamp.MS() > throughMS {
			kept = append(kept, elements[i])
			continue
		}
		key := slices.Clone(sh.Key(r))
		gone, wakes := g.deleteAgain(sh, elements[i].Key, key, &w, now)
		if gone == nil {
			kept = append(kept, elements[i])
			continue
		}
		burials, first = append(burials, burial{key: key, gone: *gone}), first || wakes
	}
	return burials, kept, first
}

// Bury deletes records that were deleted elsewhere so long ago that their tombstones are gone, here, on the peers and
// on disk.
func (k *Keyval) Bury(
	elements []zone.Element,
	throughMS int64,
	now clock.Reading,
) (buried int, kept []zone.Element) {
	return k.bury(elements, throughMS, now, func(shard int, key []byte, w *write) {
		kept := k.kept.Load()
		if kept == nil {
			return
		}
		e := registerEncoder{zone: &k.registers}
		record := append(e.Begin(nil, now), byte(shard))
		kept.remote(append(e.appendWrite(record, key, w), zone.GroupEnd)) // do not wait for the disk
	})
}
