// Package clock reads time for the parts of starling that do not ask for it themselves.
//
// The pure layers (cluster, conf, vars, zone) take a Reading as an argument, so that tests and
// the simulator can hand them any time they like.
package clock

import (
	"sync/atomic"
	"time"
)

// Reading is one look at both clocks of the machine.
type Reading struct {
	// WallMS is the wall clock in milliseconds since 1970. It may jump; only stamps and expiry use it.
	WallMS int64
	// MonoMS is a clock in milliseconds that never jumps and starts anywhere. Buckets drain by it.
	MonoMS int64
}

// Add returns the reading d later on both clocks, rounded down to milliseconds.
func (r Reading) Add(d time.Duration) Reading {
	return Reading{WallMS: r.WallMS + d.Milliseconds(), MonoMS: r.MonoMS + d.Milliseconds()}
}

// Clock hands out readings. The zero Clock is not usable; see Real. It is safe for concurrent use.
type Clock struct {
	start    time.Time
	offsetMS atomic.Int64
	// aheadNS is the wall clock minus the time since start, as it was at lookedNS after start (0: never looked).
	aheadNS, lookedNS atomic.Int64
}

// wallEvery is how long a jump of the wall clock may go unnoticed. Reading only the monotonic clock meanwhile costs half as
// much, and a proxied request reads the clock about ten times.
const wallEvery = 20 * time.Millisecond

// Real returns a clock over the machine's own time (virtual inside testing/synctest).
func Real() *Clock { return &Clock{start: time.Now()} }

// SetOffset moves the wall clock of later readings by so many milliseconds: to the time of the cluster.
func (c *Clock) SetOffset(ms int64) { c.offsetMS.Store(ms) }

// Local returns a clock with the same monotonic time and without offset: the one that the offset is measured against.
func (c *Clock) Local() *Clock { return &Clock{start: c.start} }

// monoOriginMS keeps monotonic readings positive and well away from the zero that marks "never".
const monoOriginMS = 1 << 32

// Now reads both clocks. The wall clock is carried on from its last look, at most wallEvery ago.
func (c *Clock) Now() Reading {
	mono := int64(time.Since(c.start))
	ahead := c.aheadNS.Load()
	if looked := c.lookedNS.Load(); looked == 0 || mono-looked >= int64(wallEvery) {
		t := time.Now()
		mono = int64(t.Sub(c.start))
		ahead = t.UnixNano() - mono
		c.aheadNS.Store(ahead)
		c.lookedNS.Store(max(mono, 1))
	}
	const ms = int64(time.Millisecond)
	return Reading{WallMS: (ahead+mono)/ms + c.offsetMS.Load(), MonoMS: monoOriginMS + mono/ms}
}
