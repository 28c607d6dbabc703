package kinds

import (
	"slices"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// buriedForMS is the lifetime of Bury's tombstones: long enough for all peers on this side of a partition to get them.
const buriedForMS = 60_000

// Bury deletes records that were deleted elsewhere so long ago that their tombstones are gone. The new tombstones have
// early stamps, which beat nothing written in the last TombstoneLifeMS less a minute. It returns the number of deleted
// records.
func (g *registers) Bury(elements []zone.Element, now clock.Reading) int {
	return g.bury(elements, now, func(int, []byte, *write) {})
}

// bury calls buried, without locks, for each record it deleted.
func (g *registers) bury(
	elements []zone.Element,
	now clock.Reading,
	buried func(shard int, key []byte, w *write),
) (count int) {
	if g.tombstoneMS.Load() == 0 {
		return 0
	}
	gone := write{stamp: stamp.At(now.WallMS-g.tombstoneMS.Load()+buriedForMS, 0), tombstone: true}
	wake := false
	var f finder
	for len(elements) > 0 {
		shard := zone.ShardOf(elements[0].Key)
		n := 1
		for n < len(elements) && zone.ShardOf(elements[n].Key) == shard {
			n++
		}
		keys, first := g.buryInShard(&f, g.store.ShardNumber(shard), elements[:n], &gone, now)
		elements, count, wake = elements[n:], count+len(keys), wake || first
		for _, key := range keys {
			buried(shard, key, &gone)
		}
	}
	if wake {
		g.store.Wake(false)
	}
	return count
}

func (g *registers) buryInShard(
	f *finder,
	sh *zone.Shard,
	elements []zone.Element,
	gone *write,
	now clock.Reading,
) (keys [][]byte, first bool) {
	sh.Lock()
	defer sh.Unlock()
	for i, slot := range f.find(sh, elements) {
		if slot == 0 || sh.At(slot).Tombstone() || g.firstOf(sh, elements[i].Key, sh.At(slot)).stamp != 0 {
			continue // a restamped record was written later than its stamp tells
		}
		key := slices.Clone(sh.Key(sh.At(slot)))
		if did, slot := g.put(sh, elements[i].Key, key, gone, room{bytes: g.store.Limit()}, now); did == won {
			first = sh.MarkDirty(slot, sh.At(slot)) || first
			keys = append(keys, key)
		}
	}
	return keys, first
}

// Bury deletes records that were deleted elsewhere so long ago that their tombstones are gone, here, on the peers and
// on disk.
func (k *Keyval) Bury(elements []zone.Element, now clock.Reading) int {
	return k.bury(elements, now, func(shard int, key []byte, w *write) {
		if k.onRemote == nil {
			return
		}
		e := registerEncoder{zone: &k.registers}
		record := append(e.Begin(nil, now), byte(shard))
		k.onRemote(append(e.appendWrite(record, key, w), zone.GroupEnd)) // do not wait for the disk
	})
}
