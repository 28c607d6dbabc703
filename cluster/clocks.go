package cluster

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"starling/lib/clock"
)

// clockNoiseMS is the offset below which clocks count as equal: the time a hello travels is part of the
// measure, and NTP keeps machines closer than this.
const clockNoiseMS = 50

// clocks derives cluster time: the median of the wall clocks of all nodes, this one included. Of an even number the lower median
// is taken, so that of two nodes the one ahead yields.
//
// What peers' clocks say is kept against the monotonic clock. Against the local wall clock it would move with it: a clock an hour
// ahead that is set right would be an hour behind the cluster until the next heartbeats.
type clocks struct {
	others atomic.Pointer[between]

	mu      sync.Mutex
	origins map[NodeID]int64 // wall clock of a peer less the local monotonic clock
}

// between is where the median of all is: at the local wall clock (less the monotonic one), but not outside of two peers' clocks.
type between struct{ lowMS, highMS int64 }

// heard notes how far a peer's clock is ahead of the local one now.
func (c *clocks) heard(id NodeID, aheadMS int64, now clock.Reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.origins == nil {
		c.origins = make(map[NodeID]int64)
	}
	c.origins[id] = now.WallMS + aheadMS - now.MonoMS
	c.settle()
}

// forget drops a peer that has left.
func (c *clocks) forget(id NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.origins, id)
	c.settle()
}

func (c *clocks) settle() {
	all := make([]int64, 0, len(c.origins))
	for _, origin := range c.origins {
		all = append(all, origin)
	}
	slices.Sort(all)
	others := between{math.MinInt64, math.MaxInt64}
	middle := len(all) / 2
	if middle > 0 {
		others.lowMS = all[middle-1]
	}
	if middle < len(all) {
		others.highMS = all[middle]
	}
	c.others.Store(&others)
}

// offsetMS is how far cluster time is ahead of the local wall clock.
func (c *clocks) offsetMS(now clock.Reading) int64 {
	others := c.others.Load()
	if others == nil {
		return 0
	}
	own := now.WallMS - now.MonoMS
	offset := min(max(own, others.lowMS), others.highMS) - own
	if offset > -clockNoiseMS && offset < clockNoiseMS {
		return 0
	}
	return offset
}

// clusterTime moves the wall clock of a local reading to cluster time.
func (c *clocks) clusterTime(now clock.Reading) clock.Reading {
	now.WallMS += c.offsetMS(now)
	return now
}
