// Package stamp orders the writes of several nodes with a hybrid logical clock: close to the wall clock, never going
// back, and always above every stamp that it has seen (Kulkarni, Demirbas et al., "Logical Physical Clocks and
// Consistent Snapshots in Globally Distributed Databases", 2014).
package stamp

import "sync/atomic"

// Stamp orders writes: 48 bits of milliseconds since 1970, then 16 bits of counter. Zero is older than every write.
type Stamp uint64

const counterBits = 16

// MaxAheadMS is the maximum lead of a remote stamp over cluster time. One wrong clock would otherwise
// win every conflict for as long as it is ahead.
const MaxAheadMS = 60_000

// maxMS is the last millisecond that 48 bits hold (in the year 10889).
const maxMS = 1<<48 - 1

// At returns the stamp of a millisecond and a counter. Milliseconds outside of 48 bits are clamped.
func At(ms int64, counter uint16) Stamp {
	ms = min(max(ms, 0), maxMS)
	return Stamp(uint64(ms)<<counterBits | uint64(counter))
}

// MS is the wall clock part in milliseconds since 1970.
func (s Stamp) MS() int64 { return int64(s >> counterBits) }

// Counter distinguishes stamps of one millisecond.
func (s Stamp) Counter() uint16 { return uint16(s) }

// Highest is the greatest stamp that is not too far ahead of nowMS.
func Highest(nowMS int64) Stamp { return At(nowMS+MaxAheadMS, 1<<counterBits-1) }

// TooFarAhead reports that s is more than MaxAheadMS ahead of nowMS and must be rejected.
func (s Stamp) TooFarAhead(nowMS int64) bool { return s > Highest(nowMS) }

// Clock issues stamps for local writes. The zero Clock is ready; it is safe for concurrent use.
type Clock struct{ last atomic.Uint64 }

// Next returns a stamp greater than all that this clock issued or observed, and greater than above,
// which is the stamp of the record to be replaced.
func (c *Clock) Next(nowMS int64, above Stamp) Stamp {
	for {
		last := c.last.Load()
		next := max(uint64(At(nowMS, 0)), last+1, uint64(above)+1)
		if c.last.CompareAndSwap(last, next) {
			return Stamp(next)
		}
	}
}

// Observe moves the clock to a stamp seen elsewhere, so that a write after a read wins over what was read. The caller
// rejects stamps that are TooFarAhead first.
func (c *Clock) Observe(seen Stamp) {
	for {
		last := c.last.Load()
		if uint64(seen) <= last || c.last.CompareAndSwap(last, uint64(seen)) {
			return
		}
	}
}

// Retreat moves back a clock that is too far ahead of nowMS, because the machine's clock was ahead: otherwise its
// stamps would stay ahead until time has caught up. Records with such stamps must be restamped.
func (c *Clock) Retreat(nowMS int64) {
	for {
		last := c.last.Load()
		if !Stamp(last).TooFarAhead(nowMS) || c.last.CompareAndSwap(last, uint64(At(nowMS, 0))) {
			return
		}
	}
}
