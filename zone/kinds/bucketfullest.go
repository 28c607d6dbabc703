package kinds

import (
	"bytes"
	"cmp"
	"slices"

	"starling/lib/clock"
	"starling/zone"
)

// Level is how full the bucket of a key is. ExcessMilli is the excess, in 1/1000 request, that a request would have
// now.
type Level struct {
	Key         []byte
	ExcessMilli int64
}

// BurstMilli is the largest burst of the limits that use this zone: see SetBurst.
func (b *Bucket) BurstMilli() int64 { return b.burstMilli.Load() }

// Fullest returns the n fullest buckets, the fullest first. Empty ones are left out. It looks at every bucket, one
// shard after the other, and its memory does not depend on their number; n is meant to be small.
func (b *Bucket) Fullest(n int, now clock.Reading) []Level {
	best := make([]Level, 0, n+1)
	for number := range zone.Shards {
		sh := b.store.ShardNumber(number)
		sh.Lock()
		for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
			if !sh.Live(slot) {
				continue
			}
			r := sh.At(slot)
			excess, _ := b.excess(r, now)
			if excess <= 0 || len(best) == n && excess <= best[n-1].ExcessMilli {
				continue
			}
			l := Level{bytes.Clone(sh.Key(r)), excess}
			at, _ := slices.BinarySearchFunc(best, l, fuller)
			best = slices.Insert(best, at, l)
			best = best[:min(len(best), n)]
		}
		sh.Unlock()
	}
	return best
}

// fuller orders levels.
func fuller(x, y Level) int {
	return cmp.Or(cmp.Compare(y.ExcessMilli, x.ExcessMilli), bytes.Compare(x.Key, y.Key))
}
