package upstream

import (
	"errors"
	"slices"
	"time"

	"starling/lib/clock"
)

// Results of Pick in a group with a queue.
var (
	// ErrQueued means that no server can take the request now: it waits in the queue, and the caller in Await.
	ErrQueued = errors.New("request waits in the upstream queue")
	// ErrQueueFull and ErrQueueTimeout end a request that would wait, or has waited.
	ErrQueueFull    = errors.New("upstream queue is full")
	ErrQueueTimeout = errors.New("upstream timed out in the queue")
	// ErrInterrupted ends one Await; the request keeps its place until Leave.
	ErrInterrupted = errors.New("interrupted")
)

// queue are the requests that wait for a server, the oldest first. Everything that makes a server available serves the
// queue under the group's lock, so that no later request can overtake. The queue is guarded by that lock.
type queue struct {
	most        int
	timeout     time.Duration
	clock       *clock.Clock
	first, last *waiter
	size        int
	overflows   uint64
	timer       *time.Timer // runs while failures keep a server from a waiting request
}

// waiter is one request in the queue.
type waiter struct {
	attempt *Attempt
	// set and probe are those with which the attempt came: each round begins with them.
	set   *Set
	probe Probe
	// fresh means that it has tried no server: if none can take it, none can take a later fresh one.
	fresh  bool
	server *Server // taken for it; it has left the queue
	ready  chan struct{}
	ends   time.Time

	next, previous *waiter
}

// SetQueue gives the group a queue of so many requests; only before the first pick.
func (g *Group) SetQueue(most int, timeout time.Duration, c *clock.Clock) {
	g.queue = &queue{most: most, timeout: timeout, clock: c}
}

// pickOrQueue is Pick in a group with a queue.
func (a *Attempt) pickOrQueue(now clock.Reading) (*Server, error) {
	g, q := a.group, a.group.queue
	set, probe := a.set, a.Probe
	if q.first != nil {
		g.serve(now) // time may have made a server available; whoever waits comes first
	}
	if s := a.take(now); s != nil {
		return s, nil
	}
	fresh, hopeless := a.outlook()
	switch {
	case hopeless:
		return nil, ErrNoLive
	case q.size >= q.most:
		q.overflows++
		return nil, ErrQueueFull
	}
	w := &waiter{attempt: a, set: set, probe: probe, fresh: fresh, ready: make(chan struct{}, 1)}
	w.ends = time.Now().Add(q.timeout)
	q.push(w)
	a.waiter = w
	g.armQueue(now)
	return nil, ErrQueued
}

// outlook reports whether the attempt has tried no server yet, and whether it has tried all there are: then waiting is
// hopeless.
func (a *Attempt) outlook() (fresh, hopeless bool) {
	fresh, hopeless = true, len(a.group.primary.servers)+len(a.group.backup.servers) > 0
	for _, set := range []*Set{&a.group.primary, &a.group.backup} {
		for _, s := range set.servers {
			if a.hasTried(s.slot) {
				fresh = false
			} else {
				hopeless = false
			}
		}
	}
	return fresh, hopeless
}

// Await waits for the server of an attempt that Pick has queued. It returns ErrInterrupted after a value from interrupt
// or after the given time: call it again, or Leave. After any other error the attempt has left the queue.
func (a *Attempt) Await(interrupt <-chan struct{}, atMost time.Duration) (*Server, error) {
	w := a.waiter
	left := time.Until(w.ends)
	timer := time.NewTimer(max(min(left, atMost), 0))
	defer timer.Stop()
	select {
	case <-w.ready:
		a.waiter = nil
		return w.server, nil
	case <-interrupt:
		return nil, ErrInterrupted
	case <-timer.C:
	}
	if left > atMost {
		return nil, ErrInterrupted
	}
	if s := a.quit(); s != nil { // it came at the last moment
		return s, nil
	}
	return nil, ErrQueueTimeout
}

// Leave ends the wait of an attempt whose client has left. A server that was just taken for it is freed unused.
func (a *Attempt) Leave(now clock.Reading) {
	if s := a.quit(); s != nil {
		a.group.mu.Lock()
		s.Stats.requests--
		a.group.mu.Unlock()
		a.Free(Passed, now)
	}
}

// quit takes the attempt out of the queue, unless a server has been taken for it.
func (a *Attempt) quit() *Server {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	w := a.waiter
	a.waiter = nil
	if w.server == nil {
		a.group.queue.remove(w)
	}
	return w.server
}

// serve gives available servers to the waiting requests, the oldest first; under the lock. Whatever makes a server
// available calls it.
func (g *Group) serve(now clock.Reading) {
	q := g.queue
	if q == nil || q.first == nil {
		return
	}
	stuck := false // no server is available to all: a draining one may be, to a session of its own
	for w := q.first; w != nil; w = w.next {
		a := w.attempt
		if stuck && w.fresh && !a.wants() {
			continue
		}
		a.set, a.Probe = w.set, w.probe
		if s := a.take(now); s != nil {
			q.remove(w)
			w.server = s
			w.ready <- struct{}{}
		} else if w.fresh && !stuck {
			if stuck = true; !g.drains() {
				break
			}
		}
	}
	g.armQueue(now)
}

// drains reports whether a server serves only its sessions; under the lock.
func (g *Group) drains() bool {
	drains := func(s *Server) bool { return s.settings.Drain }
	return slices.ContainsFunc(g.primary.servers, drains) || slices.ContainsFunc(g.backup.servers, drains)
}

// armQueue starts the timer for the moment at which the next server becomes available by itself; under the lock.
func (g *Group) armQueue(now clock.Reading) {
	q := g.queue
	soonestMS := int64(-1)
	if q.first != nil {
		for _, set := range []*Set{&g.primary, &g.backup} {
			for _, s := range set.servers {
				if s.outOfService() || !s.disabled(now.MonoMS) {
					continue
				}
				ms := s.checkedMS + s.settings.FailTimeout.Milliseconds() + 1 - now.MonoMS
				if soonestMS < 0 || ms < soonestMS {
					soonestMS = ms
				}
			}
		}
	}
	switch after := time.Duration(soonestMS) * time.Millisecond; {
	case soonestMS < 0 && q.timer != nil:
		q.timer.Stop()
	case soonestMS < 0:
	case q.timer == nil:
		q.timer = time.AfterFunc(after, g.serveLater)
	default:
		q.timer.Reset(after)
	}
}

func (g *Group) serveLater() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serve(g.queue.clock.Now())
}

func (q *queue) push(w *waiter) {
	w.previous = q.last
	if q.last != nil {
		q.last.next = w
	} else {
		q.first = w
	}
	q.last = w
	q.size++
}

// remove keeps w.next, so that a walk over the queue goes on.
func (q *queue) remove(w *waiter) {
	if w.previous != nil {
		w.previous.next = w.next
	} else {
		q.first = w.next
	}
	if w.next != nil {
		w.next.previous = w.previous
	} else {
		q.last = w.previous
	}
	q.size--
}

// QueueReport is the queue of a group as in /http/upstreams.
type QueueReport struct {
	Size      int    `json:"size"`
	MaxSize   int    `json:"max_size"`
	Overflows uint64 `json:"overflows"`
}

// report is nil without a queue; under the lock.
func (q *queue) report() *QueueReport {
	if q == nil {
		return nil
	}
	return &QueueReport{Size: q.size, MaxSize: q.most, Overflows: q.overflows}
}
