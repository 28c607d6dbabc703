package side

import (
	"time"

	"starling/lib/clock"
	"starling/zone"
)

// Await waits until peers have ended a wait, for at most limit, and reports whether they did in time: also if a busy
// machine sees that after limit. d is nil if there is nothing to wait for.
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
		select {
		case <-d.Done():
		default:
			late = true
		}
	}
	d.End(late, clock.Now())
	return !late
}
