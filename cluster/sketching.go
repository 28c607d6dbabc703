package cluster

import "starling/lib/clock"

// A sketch of some shards reads each record in them, and a peer can request it with a few bytes or answer it with
// fewer. So there is a budget: a repair of a whole zone, narrowed down as far as possible, visits each shard four
// times.

const (
	// sketchShardsMost is the burst of visited shards: two such repairs.
	sketchShardsMost = 2048
	// sketchShardsPerS is the sustained rate: a zone in two seconds, at the pace of the digests.
	sketchShardsPerS = 128
)

// sketching is the remaining budget of one connection. Its zero value is the whole budget.
type sketching struct {
	spent   int64 // shards
	sinceMS int64 // monotonic
}

// take reports whether so many shards may be visited now, and takes them from the budget.
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
