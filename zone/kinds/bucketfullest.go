package kinds

import (
	"bytes"
	"cmp"

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

// Fullest returns the n fullest buckets, the fullest first. Empty ones are left out.
func (b *Bucket) Fullest(n int, now clock.Reading) []Level {
	return fullest(b.store, n, func(sh *zone.Shard, r *zone.Record) (Level, bool) {
		excess, _ := b.excess(r, now)
		return Level{sh.Key(r), excess}, excess > 0
	})
}

func (l Level) before(other Level) int {
	return cmp.Or(cmp.Compare(other.ExcessMilli, l.ExcessMilli), bytes.Compare(l.Key, other.Key))
}

func (l Level) copied() Level {
	l.Key = bytes.Clone(l.Key)
	return l
}
