package kinds

import (
	"slices"

	"starling/zone"
)

// ranked is what fullest finds: a key with a figure.
type ranked[T any] interface {
	// before orders from the largest figure on.
	before(other T) int
	// copied has a key of its own: that of a record is reused.
	copied() T
}

// fullest returns the first n of the results that rank has for the records of a zone, in order. A record for which rank
// returns false is left out. It looks at every record, one shard at a time. Its memory does not depend on their number;
// n is meant to be small.
func fullest[T ranked[T]](store *zone.Store, n int, rank func(sh *zone.Shard, r *zone.Record) (T, bool)) []T {
	best := make([]T, 0, n+1)
	for number := range zone.Shards {
		sh := store.ShardNumber(number)
		sh.Lock()
		for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
			if !sh.Live(slot) {
				continue
			}
			one, counts := rank(sh, sh.At(slot))
			if !counts {
				continue
			}
			at, _ := slices.BinarySearchFunc(best, one, T.before)
			if at == n {
				continue
			}
			best = slices.Insert(best, at, one.copied())
			best = best[:min(len(best), n)]
		}
		sh.Unlock()
	}
	return best
}
