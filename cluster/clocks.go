package cluster

import (
	"slices"
	"sync"
	"sync/atomic"

	"starling/lib/clock"
)

// clockNoiseMS is the offset below which clocks count as equal: the time a hello travels is part of the
// measure, and NTP keeps machines closer than this.
const clockNoiseMS = 50

// clocks derives cluster time: the local wall clock plus the median offset of all nodes, itself included at 0.
// Of an even number the lower median is taken, so that of two nodes the one ahead yields.
type clocks struct {
	offsetMS atomic.Int64

	mu      sync.Mutex
	offsets map[NodeID]int64
}

// heard notes how far a peer's clock is ahead of the local one.
func (c *clocks) heard(id NodeID, aheadMS int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.offsets == nil {
		c.offsets = make(map[NodeID]int64)
	}
	c.offsets[id] = aheadMS
	c.settle()
}

// forget drops a peer that has left.
func (c *clocks) forget(id NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.offsets, id)
	c.settle()
}

func (c *clocks) settle() {
	all := append(make([]int64, 0, len(c.offsets)+1), 0)
	for _, offset := range c.offsets {
		all = append(all, offset)
	}
	slices.Sort(all)
	median := all[(len(all)-1)/2]
	if median > -clockNoiseMS && median < clockNoiseMS {
		median = 0
	}
	c.offsetMS.Store(median)
}

// clusterTime moves the wall clock of a local reading to cluster time.
func (c *clocks) clusterTime(now clock.Reading) clock.Reading {
	now.WallMS += c.offsetMS.Load()
	return now
}
