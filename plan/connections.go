package plan

import "sync/atomic"

// Connections counts the client connections of the process, http and stream together, for as long as it runs.
type Connections struct {
	accepted, dropped atomic.Uint64
	acceptedBase      atomic.Uint64 // of accepted at the last reset
	active, idle      atomic.Int64
}

// Accepted counts a new connection and returns its number in the process ($connection).
func (c *Connections) Accepted() uint64 {
	c.active.Add(1)
	return c.accepted.Add(1)
}

// Dropped counts a connection that could not be accepted.
func (c *Connections) Dropped() { c.dropped.Add(1) }

// Closed reports that an accepted connection is gone.
func (c *Connections) Closed() { c.active.Add(-1) }

// Idle moves a connection to or from those that wait for a request: +1 or -1.
func (c *Connections) Idle(by int64) { c.idle.Add(by) }

// ConnectionFigures are the counts of one moment. Active excludes the idle ones, as in the API of NGINX Plus.
type ConnectionFigures struct {
	Accepted uint64 `json:"accepted"`
	Dropped  uint64 `json:"dropped"`
	Active   int64  `json:"active"`
	Idle     int64  `json:"idle"`
}

// Figures reads the counts.
func (c *Connections) Figures() ConnectionFigures {
	idle := max(c.idle.Load(), 0)
	return ConnectionFigures{
		Accepted: c.accepted.Load() - c.acceptedBase.Load(),
		Dropped:  c.dropped.Load(),
		Active:   max(c.active.Load()-idle, 0),
		Idle:     idle,
	}
}

// Reset sets the counts of accepted and dropped connections to zero; the numbers of connections continue.
func (c *Connections) Reset() {
	c.acceptedBase.Store(c.accepted.Load())
	c.dropped.Store(0)
}
