package side

import (
	"sync"
	"sync/atomic"
)

// Gate tracks the connections of a site: those inside, those announced, and when a retired site is empty. T is the
// site's type of a connection. DESIGN.md has its states.
type Gate[T comparable] struct {
	mu       sync.Mutex
	inside   map[T]bool // true: detached
	waited   int        // those inside that are not detached
	expected int        // announced connections that are not inside yet
	retired  atomic.Bool
	closed   atomic.Bool

	beforeDrained func()
	// Reopen replaces them; they are read without the lock, by beforeDrained too.
	drained, emptied atomic.Pointer[end]
}

// end is the channel of one end of a gate.
type end struct{ reached chan struct{} }

func newEnd() *end { return &end{make(chan struct{})} }

// NewGate makes an open gate. beforeDrained, unless nil, is called once, with the lock held, before Drained is closed.
func NewGate[T comparable](beforeDrained func()) *Gate[T] {
	g := &Gate[T]{inside: map[T]bool{}, beforeDrained: beforeDrained}
	g.drained.Store(newEnd())
	g.emptied.Store(newEnd())
	return g
}

// Expect announces a connection: the gate does not drain before Enter and Leave, or Unexpect.
func (g *Gate[T]) Expect() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expected++
}

// Unexpect takes Expect back.
func (g *Gate[T]) Unexpect() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expected--
	g.announceEnds()
}

// Enter admits an announced connection. closed means that the site was closed meanwhile: the caller closes the
// connection, and calls Leave.
func (g *Gate[T]) Enter(t T) (closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside[t] = false
	g.waited++
	g.expected--
	return g.closed.Load()
}

// Leave reports that a connection has ended.
func (g *Gate[T]) Leave(t T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.inside[t] {
		g.waited--
	}
	delete(g.inside, t)
	g.announceEnds()
}

// Detach passes the connection to another owner: Drained no longer waits for it, Emptied does.
func (g *Gate[T]) Detach(t T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.inside[t] {
		g.inside[t] = true
		g.waited--
		g.announceEnds()
	}
}

// Retire reports that no more connections will be announced, and calls each for all that are inside, with the lock
// held. It can be called again.
func (g *Gate[T]) Retire(each func(t T, detached bool)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.retired.Store(true)
	for t, detached := range g.inside {
		each(t, detached)
	}
	g.announceEnds()
}

// Close is a forced Retire: Enter fails from now on.
func (g *Gate[T]) Close(each func(t T, detached bool)) {
	g.closed.Store(true)
	g.Retire(each)
}

// Retired and Closed do not lock: they are called for each request.
func (g *Gate[T]) Retired() bool { return g.retired.Load() }

// Closed reports whether the site was closed by force.
func (g *Gate[T]) Closed() bool { return g.closed.Load() }

// Locked calls f while neither Retire nor Close runs its each: f's changes to its connection are entirely before or
// after theirs.
func (g *Gate[T]) Locked(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// Inside calls f for all that are inside, with the lock held.
func (g *Gate[T]) Inside(f func(t T)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for t := range g.inside {
		f(t)
	}
}

// Reopen takes Retire back: connections are announced again. renew, unless nil, is called with the lock held if the
// gate had drained, to undo beforeDrained. A gate that was closed by force stays closed.
func (g *Gate[T]) Reopen(renew func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.retired.Store(false)
	if isClosed(g.Drained()) {
		g.drained.Store(newEnd())
		if renew != nil {
			renew()
		}
	}
	if isClosed(g.Emptied()) {
		g.emptied.Store(newEnd())
	}
}

// Drained is closed when the gate has retired and no connection is expected or inside, except detached ones.
func (g *Gate[T]) Drained() <-chan struct{} { return g.drained.Load().reached }

// Emptied is closed when the detached connections have left too.
func (g *Gate[T]) Emptied() <-chan struct{} { return g.emptied.Load().reached }

// announceEnds closes Drained and Emptied when they are due. Must be called with the lock held.
func (g *Gate[T]) announceEnds() {
	if !g.retired.Load() || g.expected > 0 {
		return
	}
	if g.waited == 0 && !isClosed(g.Drained()) {
		if g.beforeDrained != nil {
			g.beforeDrained()
		}
		close(g.drained.Load().reached)
	}
	if len(g.inside) == 0 && !isClosed(g.Emptied()) {
		close(g.emptied.Load().reached)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
