package logs

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Repeats limits a line that every request would repeat, such as that of a full zone, to one a minute. The zero value
// is ready. It is safe for concurrent use.
type Repeats struct {
	nextMS  atomic.Int64
	leftOut atomic.Uint64
}

// repeatsEvery is the interval of such a line: enough to see that the state lasts.
const repeatsEvery = time.Minute

// Next reports whether to write the line at monoMS, a time of the monotonic clock. The note ends the line; it counts
// those left out since the last one.
func (r *Repeats) Next(monoMS int64) (note string, write bool) {
	next := r.nextMS.Load()
	if monoMS < next || !r.nextMS.CompareAndSwap(next, monoMS+repeatsEvery.Milliseconds()) {
		r.leftOut.Add(1)
		return "", false
	}
	if n := r.leftOut.Swap(0); n > 0 {
		note = fmt.Sprintf(" (%d more since the last such line)", n)
	}
	return note, true
}
