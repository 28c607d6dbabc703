package cluster

import "starling/lib/clock"

// steady estimates the current monotonic clock of a session's peer. Expiry times are by the sender's clock: neither
// clock steps nor transit times of records change how long they still live. The tokens of heartbeats are readings of
// that clock; half of the round trip is added. The quickest one counts, of the last steadyWindowMS at least: a node
// that was stopped reads late, and two clocks do not run equally fast forever.
type steady struct {
	best, before beatOf
	sinceMS      int64 // monotonic, of the window of best
}

// beatOf is the information of one heartbeat; apartMS is the local clock less the peer's.
type beatOf struct {
	known          bool
	apartMS, rttMS int64
}

const (
	steadyWindowMS = 30_000
	// steadyForMS is how long the estimate outlives the connection: clocks that differ by 100 ppm are 60 ms further
	// apart then.
	steadyForMS = 600_000
	// unsteadyRTTMS is the longest round trip of a greeting with an unknown peer: half of it may be the error of all
	// expiry times that are received from it before the next heartbeat.
	unsteadyRTTMS = 3000
)

// heard takes the peer's clock from a heartbeat that arrives now.
func (c *steady) heard(theirMS uint64, rttMS int64, now clock.Reading) {
	beat := beatOf{known: true, apartMS: now.MonoMS - int64(min(theirMS, maxClockMS)) - rttMS/2, rttMS: rttMS}
	switch {
	case !c.best.known || after(now, c.sinceMS, steadyForMS):
		*c = steady{best: beat, sinceMS: now.MonoMS}
	case after(now, c.sinceMS, steadyWindowMS):
		c.before, c.best, c.sinceMS = c.best, beat, now.MonoMS
	case beat.rttMS <= c.best.rttMS:
		c.best = beat
	}
}

// knows reports whether the peer's clock is known well enough.
func (c *steady) knows(now clock.Reading) bool {
	return c.best.known && !after(now, c.sinceMS, steadyForMS) && min(c.best.rttMS, c.quickest().rttMS) <= unsteadyRTTMS
}

func (c *steady) quickest() beatOf {
	if c.before.known && c.before.rttMS < c.best.rttMS {
		return c.before
	}
	return c.best
}

// senderMS is the peer's clock now, 0 if it is unknown.
func (c *steady) senderMS(now clock.Reading) int64 {
	beat := c.quickest()
	if !beat.known {
		return 0
	}
	return max(now.MonoMS-beat.apartMS, 1)
}

// heardSteady takes a heartbeat of a peer that pushes, and reports whether its clock is known well enough to accept
// records. After a slow greeting the connection is reopened, once: the network may simply be slow. The estimate
// outlives the connection. Called with mu held.
func (s *Session) heardSteady(tokenMS uint64, rttMS int64, now clock.Reading) (known bool) {
	s.steady.heard(tokenMS, rttMS, now)
	n := s.node
	n.mu.Lock()
	if s.peer.steady == nil || len(s.peer.steady) > maxLives {
		s.peer.steady = make(map[uint64]steady)
	}
	s.peer.steady[s.their.Incarnation] = s.steady
	defer n.mu.Unlock()
	if s.steady.knows(now) || s.peer.slowMS != 0 && !after(now, s.peer.slowMS, steadyForMS) {
		return true
	}
	s.peer.slowMS = now.MonoMS
	return false
}

// arrival is the time for records that arrive: cluster time, and the sender's clock. Called with mu held.
func (s *Session) arrival(now clock.Reading) clock.Reading {
	arrived := s.node.clocks.clusterTime(now)
	arrived.SenderMS = s.steady.senderMS(now)
	return arrived
}
