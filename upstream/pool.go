package upstream

import (
	"sync"
	"time"

	"starling/lib/clock"
)

// KeepAlive are the keepalive* settings of a group.
type KeepAlive struct {
	// Connections is how many idle connections are kept (keepalive N); 0 keeps none.
	Connections int
	// Local lets only the location that opened a connection reuse it.
	Local bool
	// Timeout ends an idle connection; Time ends one that is this old when it becomes idle.
	Timeout, Time time.Duration
	// Requests is the maximum number of requests on one connection.
	Requests int
}

// DefaultKeepAlive is nginx's default since 1.29.7 for upstream blocks without a keepalive directive.
func DefaultKeepAlive() KeepAlive {
	return KeepAlive{Connections: 32, Local: true, Timeout: time.Minute, Time: time.Hour, Requests: 1000}
}

// Pool has the idle connections of a group: the most recently used first for each server; the one idle longest is
// closed when there are too many.
type Pool struct {
	settings KeepAlive
	clock    *clock.Clock

	mu     sync.Mutex
	idle   list // of all servers, the most recently used first
	count  int
	timer  *time.Timer // runs while there is an idle connection
	closed bool
}

// NewPool returns an empty pool and sets it as the group's.
func (g *Group) NewPool(settings KeepAlive, c *clock.Clock) *Pool {
	p := &Pool{settings: settings, clock: c, idle: list{which: byAge}}
	g.mu.Lock()
	g.pool = p
	g.mu.Unlock()
	return p
}

// Idle returns the number of idle connections.
func (p *Pool) Idle() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// checkAfter is how long a connection can be idle and be reused without a check of the socket. The check costs a system
// call; if a server closes a connection within this time, the request fails and finds out.
const checkAfter = 10 * time.Millisecond

// Get returns an idle connection to a server, or nil. owner is the location that will use it (see KeepAlive.Local).
// careful checks the socket however short it was idle: for requests that must not be sent twice. A connection that was
// closed by the server, or has unread bytes, is closed and not returned.
func (p *Pool) Get(s *Server, owner any, careful bool) *Conn {
	for {
		c := p.take(s, owner)
		if c == nil {
			return nil
		}
		nowMS := p.clock.Now().MonoMS
		if !careful && nowMS-c.idleFromMS < checkAfter.Milliseconds() || c.quiet() {
			c.Reused = true
			return c
		}
		c.abandon()
	}
}

func (p *Pool) take(s *Server, owner any) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := s.idle.head; c != nil; c = c.links[byServer].next {
		if !p.settings.Local || c.Owner == owner {
			p.remove(c)
			return c
		}
	}
	return nil
}

// Put keeps a connection whose response was read completely, or closes it: too old, used often enough, or the server is
// gone. The caller must not use it afterwards.
func (p *Pool) Put(c *Conn, owner any) {
	nowMS := p.clock.Now().MonoMS
	c.Owner = owner
	var victim *Conn
	p.mu.Lock()
	switch {
	case p.closed, p.settings.Connections == 0, c.Server.idle.closed,
		p.settings.Requests > 0 && c.Requests >= p.settings.Requests,
		nowMS-c.openedMS > p.settings.Time.Milliseconds():
		victim = c
	default:
		if p.count >= p.settings.Connections {
			victim = p.idle.tail
			p.remove(victim)
		}
		c.idleFromMS = nowMS
		p.idle.push(c)
		c.Server.idle.push(c)
		p.count++
		p.arm(p.settings.Timeout)
	}
	p.mu.Unlock()
	if victim != nil {
		victim.abandon()
	}
}

// remove removes a connection from both lists; under the lock.
func (p *Pool) remove(c *Conn) {
	p.idle.remove(c)
	c.Server.idle.remove(c)
	p.count--
}

// arm starts the timer if it is not running; under the lock.
func (p *Pool) arm(after time.Duration) {
	if p.timer == nil {
		p.timer = time.AfterFunc(after, p.expire)
	}
}

// expire closes connections that were idle for too long. All share one timeout, so those are at the end of the list.
func (p *Pool) expire() {
	nowMS := p.clock.Now().MonoMS
	var old []*Conn
	p.mu.Lock()
	p.timer = nil
	for c := p.idle.tail; c != nil; c = p.idle.tail {
		if left := p.settings.Timeout.Milliseconds() - (nowMS - c.idleFromMS); left > 0 {
			p.arm(time.Duration(left) * time.Millisecond)
			break
		}
		p.remove(c)
		old = append(old, c)
	}
	p.mu.Unlock()
	abandonAll(old)
}

// dropServer closes the idle connections of a server that left its group, and accepts no more.
func (p *Pool) dropServer(s *Server) {
	var old []*Conn
	p.mu.Lock()
	s.idle.closed = true
	for c := s.idle.head; c != nil; c = s.idle.head {
		p.remove(c)
		old = append(old, c)
	}
	p.mu.Unlock()
	if len(old) > 0 {
		go abandonAll(old) // the caller holds the group's lock, and each close is a system call
	}
}

// Close closes all idle connections, and every one that is put later. For the end of a cycle.
func (p *Pool) Close() {
	var old []*Conn
	p.mu.Lock()
	p.closed = true
	for c := p.idle.head; c != nil; c = p.idle.head {
		p.remove(c)
		old = append(old, c)
	}
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	abandonAll(old)
}

func abandonAll(conns []*Conn) {
	for _, c := range conns {
		c.abandon()
	}
}

// The two lists of an idle connection.
const (
	byAge = iota
	byServer
)

type link struct{ next, previous *Conn }

// list is a doubly linked list through the connections themselves, the most recently used first.
type list struct {
	which      int
	head, tail *Conn
	closed     bool
}

func (l *list) push(c *Conn) {
	c.links[l.which] = link{next: l.head}
	if l.head != nil {
		l.head.links[l.which].previous = c
	} else {
		l.tail = c
	}
	l.head = c
}

func (l *list) remove(c *Conn) {
	at := c.links[l.which]
	if at.previous != nil {
		at.previous.links[l.which].next = at.next
	} else {
		l.head = at.next
	}
	if at.next != nil {
		at.next.links[l.which].previous = at.previous
	} else {
		l.tail = at.previous
	}
	c.links[l.which] = link{}
}
