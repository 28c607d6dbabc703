package side

import (
	"time"

	"starling/lib/clock"
	"starling/zone"
)

// Await waits until the changes that a delivery follows have come to as many nodes as needed, at most for limit. It
// reports whether they have. There is nothing to wait for without a delivery.
func Await(d zone.Delivery, limit time.Duration, clock *clock.Clock) bool {
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
