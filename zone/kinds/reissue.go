package kinds

import (
	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// Reissue stamps anew what is stamped too far ahead of now: this node's clock was wrong, its peers refuse such records, and
// they would win over everything for as long as it was ahead. They become fresh writes. It returns how many they were.
func (g *registers) Reissue(now clock.Reading) int {
	g.clock.Retreat(now.WallMS)
	limit := stamp.Highest(now.WallMS)
	reissued, wake := 0, false
	for n := range zone.Shards {
		count, first := g.reissueShard(g.store.ShardNumber(n), limit, now)
		reissued, wake = reissued+count, wake || first
	}
	if wake {
		g.store.Wake(false)
	}
	return reissued
}

func (g *registers) reissueShard(sh *zone.Shard, limit stamp.Stamp, now clock.Reading) (count int, first bool) {
	sh.Lock()
	defer sh.Unlock()
	if sh.Clear() > limit {
		count++
		first = sh.MoveClear(g.clock.Next(now.WallMS, 0))
	}
	for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
		if !sh.Live(slot) {
			continue
		}
		r := sh.At(slot)
		old := stamp.Stamp(r.Word0)
		if old <= limit {
			continue
		}
		count++
		hash := zone.KeyHash(sh.Key(r))
		before, oldDueMS := elementOf(sh, hash, r), g.DueMS(r)
		fresh := g.clock.Next(now.WallMS, sh.Clear())
		r.Word0 = uint64(fresh)
		if r.Word1 != 0 {
			// The end was reckoned by the wrong clock, too.
			r.Word1 = uint64(max(int64(r.Word1)-(old.MS()-fresh.MS()), 1))
		}
		sh.Instead(before, elementOf(sh, hash, r))
		sh.Due(slot, r, oldDueMS, g.DueMS(r), now.WallMS)
		first = sh.MarkDirty(slot, r) || first
	}
	return count, first
}
