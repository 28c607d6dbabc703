package clock

import "time"

var processStart = time.Now()

// monotonicUS is Go's monotonic clock.
func monotonicUS() int64 { return time.Since(processStart).Microseconds() + 1 }
