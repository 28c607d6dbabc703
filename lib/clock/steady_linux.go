package clock

import "golang.org/x/sys/unix"

// SteadyUS is a monotonic clock in microseconds that also counts the time in which the machine slept: rights that other
// nodes grant for a time end by it.
func SteadyUS() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return monotonicUS() // a kernel without that clock
	}
	return t.Nano() / 1000
}
