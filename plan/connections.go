package plan

import (
	"sync"
	"sync/atomic"
)

// Connections counts the client connections of the process, http and stream together, for as long as it runs.
type Connections struct {
	accepted, dropped atomic.Uint64
	acceptedBase      atomic.Uint64 // of accepted at the last reset
	active            atomic.Int64

	mu   sync.Mutex
	idle map[*idleCounter]struct{}
}

// idleCounter counts the idle connections of one site.
type idleCounter struct{ count func() int64 }

// Accepted counts a new connection and returns its number in the process ($connection).
func (c *Connections) Accepted() uint64 {
	c.active.Add(1)
	return c.accepted.Add(1)
}

// Dropped counts a connection that could not be accepted.
func (c *Connections) Dropped() { c.dropped.Add(1) }

// Closed reports that an accepted connection is gone.
func (c *Connections) Closed() { c.active.Add(-1) }

// CountIdle adds a function that counts the connections of a site that wait for a request, until forget is called.
// Figures calls it: connections become idle after each request, so they must not share a counter.
func (c *Connections) CountIdle(count func() int64) (forget func()) {
	counter := &idleCounter{count}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == nil {
		c.idle = map[*idleCounter]struct{}{}
	}
	c.idle[counter] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.idle, counter)
	}
}

// ConnectionFigures are the counts of one moment. Active excludes the idle ones, as in the API of NGINX Plus.
type ConnectionFigures struct {
	Accepted uint64 `json:"accepted"`
	Dropped  uint64 `json:"dropped"`
	Active   int64  `json:"active"`
	Idle     int64  `json:"idle"`
}

// Figures reads the counts.
func (c *Connections) Figures() ConnectionFigures {
	idle := c.countIdle()
	return ConnectionFigures{
		Accepted: c.accepted.Load() - c.acceptedBase.Load(),
		Dropped:  c.dropped.Load(),
		Active:   max(c.active.Load()-idle, 0),
		Idle:     idle,
	}
}

func (c *Connections) countIdle() (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for counter := range c.idle {
		n += counter.count()
	}
	return n
}

// Reset sets the counts of accepted and dropped connections to zero; the numbers of connections continue.
func (c *Connections) Reset() {
	c.acceptedBase.Store(c.accepted.Load())
	c.dropped.Store(0)
}
