package packets

import (
	"fmt"
	"sync/atomic"
	"time"
)

// DefaultMaxSessions bounds the sessions of one socket; nginx has worker_connections for it.
const DefaultMaxSessions = 1 << 16

// refuseEvery is how often a socket reports that it has no room for sessions: strangers can cause that at any rate.
const refuseEvery = 10 * time.Second

// Budget bounds the sessions of several sockets together: each may hold a descriptor, and descriptors are shared with
// everything else.
type Budget struct {
	sessions atomic.Int64
	most     func() int64
}

// NewBudget makes a budget that reads its bound whenever a session begins.
func NewBudget(most func() int64) *Budget { return &Budget{most: most} }

// Sessions is the number of sessions that have not ended.
func (b *Budget) Sessions() int64 { return b.sessions.Load() }

// enter counts a session unless there are too many.
func (b *Budget) enter() (most int64, ok bool) {
	most = b.most()
	if b.sessions.Add(1) <= most {
		return most, true
	}
	b.sessions.Add(-1)
	return most, false
}

func (b *Budget) leave() { b.sessions.Add(-1) }

// Share counts the sessions of the socket in a budget. Call it before there are any.
func (l *Listener) Share(b *Budget) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.budget = b
}

// Limit sets how many sessions the socket may have. Existing ones stay.
func (l *Listener) Limit(sessions int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.maxSessions = sessions
}

// OnRefuse sets the function that is told, at a limited rate, that datagrams of new clients are dropped. It is called
// without locks.
func (l *Listener) OnRefuse(tell func(why string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tellRefused = tell
}

// admits takes a place in the budget for a new session, or rejects it with the reason. Called with the lock held.
func (l *Listener) admits() bool {
	if len(l.live) >= l.maxSessions {
		l.refuse("reached the limit of %d UDP sessions of this socket (udp_sessions)", len(l.live))
		return false
	}
	if l.budget != nil {
		if most, ok := l.budget.enter(); !ok {
			l.refuse(
				"reached the limit of %d UDP sessions of all sockets (from the open file limit; see "+
					"worker_rlimit_nofile)",
				most,
			)
			return false
		}
	}
	return true
}

// left releases a session's place. Called with the lock held.
func (l *Listener) left(c *Conn) {
	delete(l.live, c)
	if l.budget != nil {
		l.budget.leave()
	}
	if len(l.live) == 0 {
		l.sessions, l.live = map[key]*Conn{}, map[*Conn]struct{}{} // a map does not shrink
	}
}

func (l *Listener) refuse(format string, args ...any) {
	now := time.Now()
	if l.tellRefused == nil || now.Before(l.quietUntil) {
		return
	}
	l.quietUntil = now.Add(refuseEvery)
	go l.tellRefused(fmt.Sprintf(format, args...)) // beside the lock
}
