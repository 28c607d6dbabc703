// Package clock reads the time for the parts of starling that do not read it themselves.
//
// The pure layers (cluster, conf, vars, zone) take a Reading as an argument, so that tests and the simulator can pass
// any time.
package clock

import (
	"math"
	"sync/atomic"
	"time"
)

// Reading is one simultaneous reading of both clocks of the machine.
type Reading struct {
	// WallMS is the wall clock in milliseconds since 1970. It may jump; only stamps use it.
	WallMS int64
	// MonoMS is a clock in milliseconds that never jumps. It starts at the wall clock when the process starts, and
	// keeps the error of the wall clock at that moment. Buckets drain and records expire by it.
	MonoMS int64
	// SenderMS is the present MonoMS of the node that sent the data; 0 if it is unknown.
	SenderMS int64
}

// Add returns the reading d later on both clocks, rounded down to milliseconds.
func (r Reading) Add(d time.Duration) Reading {
	return Reading{WallMS: r.WallMS + d.Milliseconds(), MonoMS: r.MonoMS + d.Milliseconds()}
}

// Clock returns readings. The zero Clock is not usable; see Real. It is safe for concurrent use.
type Clock struct {
	start    time.Time
	originMS int64 // of the monotonic readings: the wall clock at start
	// followedMS is the lead of the followed time over the monotonic clock, followsWall if there is none.
	followedMS atomic.Int64
	// aheadNS is the wall clock minus the time since start, as read at lookedNS after start (0: never read).
	aheadNS, lookedNS atomic.Int64
}

// followsWall means that no time is followed: readings show the machine's wall clock.
const followsWall = math.MinInt64

// wallEvery is how long a jump of the wall clock may stay unnoticed. Reading only the monotonic clock meanwhile costs
// half as much, and a proxied request reads the clock about ten times.
const wallEvery = 20 * time.Millisecond

// Real returns a clock over the machine's own time (virtual inside testing/synctest).
func Real() *Clock { return startedAt(time.Now()) }

func startedAt(start time.Time) *Clock {
	c := &Clock{start: start, originMS: max(start.UnixMilli(), minOriginMS)}
	c.followedMS.Store(followsWall)
	return c
}

// minOriginMS keeps monotonic readings well above zero, which means "never", on a machine whose clock starts in 1970.
const minOriginMS = 1 << 32

// Follow sets the wall clock of later readings to the monotonic one plus so many milliseconds: the time of the cluster.
// It continues evenly when the machine's clock is set.
func (c *Clock) Follow(aheadMS int64) { c.followedMS.Store(aheadMS) }

// Unfollow makes later readings show the machine's wall clock again.
func (c *Clock) Unfollow() { c.followedMS.Store(followsWall) }

// Local returns a clock with the same monotonic time that follows nothing.
func (c *Clock) Local() *Clock { return startedAt(c.start) }

// Now reads both clocks. The wall clock is extrapolated from its last reading, at most wallEvery ago.
func (c *Clock) Now() Reading {
	const ms = int64(time.Millisecond)
	mono := int64(time.Since(c.start))
	if ahead := c.followedMS.Load(); ahead != followsWall {
		monoMS := c.originMS + mono/ms
		return Reading{WallMS: monoMS + ahead, MonoMS: monoMS}
	}
	ahead := c.aheadNS.Load()
	if looked := c.lookedNS.Load(); looked == 0 || mono-looked >= int64(wallEvery) {
		t := time.Now()
		mono = int64(t.Sub(c.start))
		ahead = t.UnixNano() - mono
		c.aheadNS.Store(ahead)
		c.lookedNS.Store(max(mono, 1))
	}
	return Reading{WallMS: (ahead + mono) / ms, MonoMS: c.originMS + mono/ms}
}
