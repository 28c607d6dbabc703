package side

import (
	"time"

	"starling/lib/clock"
	"starling/zone"
)

// Await waits for what peers bring to its end, at most for limit, and reports whether they have. There is nothing to
// wait for without it.
func Await(d zone.Waiting, limit time.Duration, clock *clock.Clock) bool {
	if d == nil {
		return true
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	late := false
	select {
	case <-d.Done():
	case <-timer.C:
		late = true
	}
	d.End(late, clock.Now())
	return !late
}
