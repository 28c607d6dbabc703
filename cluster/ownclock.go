package cluster

import (
	"slices"

	"starling/lib/clock"
	"starling/lib/plural"
	"starling/zone"
)

// This node's own clock. The monotonic clock shows when the wall clock is set; then this node is the one that yields:
// it continues as if the clock had not been set, unless its peers' clocks confirm that it is right now and was wrong
// before. A node that has never met a peer follows its clock, because it has no other. So one clock that is set moves
// no other node, and two clocks out of two that are set one after the other do not leave the nodes apart.

// ownStepMS is the smallest change of the wall clock against the monotonic one that counts as a step. A smaller one is
// drift, and is followed.
const ownStepMS = 500

// ownClock is the wall clock less the monotonic one, and how much of it was set and is not followed.
type ownClock struct{ rawMS, heldMS int64 }

// local is the local reading with this node's effective clock, which it tells its peers.
func (c *clocks) local(now clock.Reading) clock.Reading {
	raw := now.WallMS - now.MonoMS
	own := c.own.Load()
	if own == nil || far(raw-own.rawMS, ownStepMS-1) {
		own = c.look(raw)
	}
	now.WallMS -= own.heldMS
	return now
}

// look records the wall clock, less the monotonic one.
func (c *clocks) look(raw int64) *ownClock {
	c.mu.Lock()
	defer c.mu.Unlock()
	own := ownClock{rawMS: raw}
	if before := c.own.Load(); before != nil {
		own.heldMS = before.heldMS
		if step := raw - before.rawMS; far(step, ownStepMS-1) {
			own.heldMS += step
		}
	}
	return c.hold(own)
}

// hold decides whether a step is followed. Called with mu held.
func (c *clocks) hold(own ownClock) *ownClock {
	if !far(own.heldMS, ownStepMS-1) || len(c.voices) == 0 && !c.met || c.confirmed(&own) {
		own.heldMS = 0
	}
	c.own.Store(&own)
	return &own
}

// confirmed reports whether the peers' clocks are nearer to this node's clock after the step than before it. Of two
// middle ones, the one nearer to the clock before the step counts. Called with mu held.
func (c *clocks) confirmed(own *ownClock) bool {
	if len(c.voices) == 0 {
		return false
	}
	set := make([]int64, 0, len(c.voices))
	for _, v := range c.voices {
		set = append(set, v.originMS+v.setMS)
	}
	slices.Sort(set)
	told, middle := own.rawMS-own.heldMS, set[len(set)/2]
	if before := set[(len(set)-1)/2]; distance(before, told) <= distance(middle, told) {
		middle = before
	}
	return distance(own.rawMS, middle) < distance(told, middle)
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// heldMS is by how much the local clock was set without being followed.
func (c *clocks) heldMS() int64 {
	if own := c.own.Load(); own != nil {
		return own.heldMS
	}
	return 0
}

// watchClock tells the operator how a clock step is handled, and restamps records that an earlier cluster time stamped
// too far ahead, before peers reject them.
func (n *Node) watchClock(now clock.Reading) {
	n.mu.Lock()
	members := n.expected
	n.mu.Unlock()
	n.clocks.expire(members, now)
	n.clocks.look(now.WallMS - now.MonoMS)
	heldMS, view := n.clocks.heldMS(), n.clocks.clusterTime(now)
	aheadMS := view.WallMS - now.MonoMS
	n.mu.Lock()
	news := heldMS != 0 && far(heldMS-n.heldMS, ownStepMS-1)
	followed := heldMS == 0 && n.heldMS != 0
	n.heldMS = heldMS
	fromMS, back := n.aheadFromMS, n.highestMS-aheadMS
	if back < -ownStepMS || back > maxAheadMS {
		n.aheadFromMS = view.WallMS
	}
	if back < 0 || back > maxAheadMS {
		n.highestMS = aheadMS
	}
	n.mu.Unlock()
	if news {
		n.event(Warning,
			"this node's clock was set %s its peers' clocks; ignoring it: timestamps and Date headers keep following "+
				"cluster time. Correct this clock, or set the peers' clocks too", apart(heldMS))
	}
	if followed {
		n.event(Notice, "this node's clock agrees with its peers' clocks again; following it")
	}
	if back <= maxAheadMS {
		return
	}
	reissued := 0
	for _, z := range n.table.Load().list {
		if compared, ok := z.shared.(zone.Comparable); ok {
			reissued += compared.TimeWentBack(fromMS, back, view)
		}
		if remembering, ok := z.shared.(zone.Remembering); ok {
			remembering.AgreedUntil(view.WallMS)
		}
	}
	n.agreedUntil(view.WallMS)
	n.event(Notice, "this node's time went back by %v; restamped and resent %s", ms(back),
		plural.Of(reissued, "record", "records"))
}
