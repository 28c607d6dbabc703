package side

import (
	"sync"
	"sync/atomic"
)

// Gate knows the connections of a site: who is inside, who is on the way, and when a site that has retired is empty. T
// is what the site makes of a connection. DESIGN.md tells its life.
type Gate[T comparable] struct {
	mu       sync.Mutex
	inside   map[T]bool // true: detached
	waited   int        // those inside that are not detached
	expected int        // announced connections that are not inside yet
	retired  atomic.Bool
	closed   atomic.Bool

	beforeDrained func()
	drained       chan struct{}
	emptied       chan struct{}
}

// NewGate makes one that is open. beforeDrained, unless nil, is called once, with the lock held, before Drained is
// closed.
func NewGate[T comparable](beforeDrained func()) *Gate[T] {
	return &Gate[T]{
		inside:        map[T]bool{},
		beforeDrained: beforeDrained,
		drained:       make(chan struct{}),
		emptied:       make(chan struct{}),
	}
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

// Enter lets a connection in that was expected. Where closed is true the site was closed meanwhile: the caller closes
// the connection, and leaves.
func (g *Gate[T]) Enter(t T) (closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside[t] = false
	g.waited++
	g.expected--
	return g.closed.Load()
}

// Leave says that a connection has ended.
func (g *Gate[T]) Leave(t T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.inside[t] {
		g.waited--
	}
	delete(g.inside, t)
	g.announceEnds()
}

// Detach says that another owns the connection from now on: Drained does not wait for it any more, Emptied does.
func (g *Gate[T]) Detach(t T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.inside[t] {
		g.inside[t] = true
		g.waited--
		g.announceEnds()
	}
}

// Retire says that no connection comes any more but those that were announced, and calls each with all that are inside,
// with the lock held. It may be called again.
func (g *Gate[T]) Retire(each func(t T, detached bool)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.retired.Store(true)
	for t, detached := range g.inside {
		each(t, detached)
	}
	g.announceEnds()
}

// Close is Retire by force: Enter tells those who come from now on.
func (g *Gate[T]) Close(each func(t T, detached bool)) {
	g.closed.Store(true)
	g.Retire(each)
}

// Retired and Closed do not lock: they are asked for each request.
func (g *Gate[T]) Retired() bool { return g.retired.Load() }

// Closed tells whether the site was closed by force.
func (g *Gate[T]) Closed() bool { return g.closed.Load() }

// Locked calls f when no each of Retire or Close runs: what f does to its connection comes whole before or after what
// they do.
func (g *Gate[T]) Locked(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// Inside calls f with all that are inside, with the lock held.
func (g *Gate[T]) Inside(f func(t T)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for t := range g.inside {
		f(t)
	}
}

// Drained is closed when the gate has retired and nobody is expected or inside but those who are detached.
func (g *Gate[T]) Drained() <-chan struct{} { return g.drained }

// Emptied is closed when the detached ones have left too.
func (g *Gate[T]) Emptied() <-chan struct{} { return g.emptied }

// announceEnds tells those who wait for the end. Must be called with the lock held.
func (g *Gate[T]) announceEnds() {
	if !g.retired.Load() || g.expected > 0 {
		return
	}
	if g.waited == 0 && !isClosed(g.drained) {
		if g.beforeDrained != nil {
			g.beforeDrained()
		}
		close(g.drained)
	}
	if len(g.inside) == 0 && !isClosed(g.emptied) {
		close(g.emptied)
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
