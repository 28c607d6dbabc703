package side

import (
	"context"
	"net"
	"sync/atomic"
)

// Fence encloses what a strict limit counts as one connection: that of its client, and all that servers do for it. So
// both end together if it falls. A nil Fence never falls.
type Fence struct {
	client net.Conn
	ctx    context.Context
	stop   context.CancelFunc
	held   atomic.Int32
	over   atomic.Bool
}

// NewFence returns the fence of a client's connection. It falls with parent, too, but without the client's connection.
// Its owner calls End.
func NewFence(parent context.Context, client net.Conn) *Fence {
	f := &Fence{client: client}
	f.ctx, f.stop = context.WithCancel(parent)
	return f
}

// Fall ends all inside at once, from any goroutine. After End it does nothing.
func (f *Fence) Fall() {
	if !f.over.Load() {
		Sever(f.client)
		f.stop()
	}
}

// End ends the fence when nothing is inside any more.
func (f *Fence) End() {
	f.over.Store(true)
	f.stop()
}

// Context ends with the fence.
func (f *Fence) Context() context.Context { return f.ctx }

// Fallen reports whether the fence has fallen: nothing may begin inside.
func (f *Fence) Fallen() bool { return f != nil && f.ctx.Err() != nil }

// Hold has end called when the fence falls, or has fallen already, in a goroutine of its own. release takes that back;
// it returns false if end is called nevertheless. Both are called once at most.
func (f *Fence) Hold(end func()) (release func() bool) {
	f.held.Add(1)
	stop := context.AfterFunc(f.ctx, end)
	return func() bool {
		f.held.Add(-1)
		return stop()
	}
}

// Holds reports whether something that Hold was called for was not released.
func (f *Fence) Holds() bool { return f != nil && f.held.Load() > 0 }
