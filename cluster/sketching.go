package cluster

import "starling/lib/clock"

// A sketch of some shards is made of each record in them, for a peer that asks with a few bytes or answers with fewer.
// So there is a budget: a repair of a whole zone, narrowed down as far as it goes, visits each shard four times.

const (
	// sketchShardsMost is what may be visited at once: two such repairs.
	sketchShardsMost = 2048
	// sketchShardsPerS is what may be visited for long: a zone in two seconds, at the pace of the digests.
	sketchShardsPerS = 128
)

// sketching is what may still be visited for one connection. Its zero value is the whole budget.
type sketching struct {
	spent   int64 // shards
	sinceMS int64 // monotonic
}

// take says whether so many shards may be visited now.
func (b *sketching) take(shards int, now clock.Reading) bool {
	earned := (now.MonoMS - b.sinceMS) * sketchShardsPerS / 1000
	if earned > 0 {
		b.spent, b.sinceMS = max(b.spent-earned, 0), now.MonoMS
	}
	if b.spent+int64(shards) > sketchShardsMost {
		return false
	}
	b.spent += int64(shards)
	return true
}
