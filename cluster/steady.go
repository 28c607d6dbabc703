package cluster

import "starling/lib/clock"

// steady tells what the monotonic clock of a session's peer shows now. What ends, ends by its sender's: no clock that is set, and no time that
// records spend on their way, changes how long they have still to live. The tokens of heartbeats are readings of that clock. The least that one was on
// its way counts, of the last steadyWindowMS at least: a node that was stopped reads late, and two clocks do not run equally fast for ever.
type steady struct {
	known             bool
	apartMS, beforeMS int64 // of the local clock and the peer's, in this window and in the one before
	sinceMS           int64 // monotonic, of this window
}

const steadyWindowMS = 30_000

// heard takes what the peer's clock showed when it sent something that arrives now.
func (c *steady) heard(theirMS uint64, now clock.Reading) {
	apartMS := now.MonoMS - int64(min(theirMS, maxClockMS))
	switch {
	case !c.known:
		*c = steady{known: true, apartMS: apartMS, beforeMS: apartMS, sinceMS: now.MonoMS}
	case after(now, c.sinceMS, steadyWindowMS):
		c.beforeMS, c.apartMS, c.sinceMS = c.apartMS, apartMS, now.MonoMS
	default:
		c.apartMS = min(c.apartMS, apartMS)
	}
}

// senderMS is what the peer's clock shows now, 0 where that is not known.
func (c *steady) senderMS(now clock.Reading) int64 {
	if !c.known {
		return 0
	}
	return max(now.MonoMS-min(c.apartMS, c.beforeMS), 1)
}
