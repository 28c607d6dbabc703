//go:build !linux

package clock

// SteadyUS is a monotonic clock in microseconds. On systems other than Linux it may stand still while the machine
// sleeps: rights that other nodes grant for a time last longer then, by that time.
func SteadyUS() int64 { return monotonicUS() }
