package web

import (
	"sync"
	"syscall"

	"starling/lib/socketwatch"
	"starling/logs"
)

// Watch has left called with arg, at most once, when the client disconnects before Unwatch: from another goroutine, or
// from within Watch if it is already gone. It is for a handler that waits for something else; left must not block.
func (r *Request) Watch(left func(arg any), arg any) {
	if !r.silent {
		r.wire.Watch(r, left, arg)
	}
}

// Unwatch ends Watch. After it returns, left is not called any more.
func (r *Request) Unwatch() { r.wire.Watch(r, nil, nil) }

// presence is the known state of the client's side of a socket. Watching costs a request two uncontended locks: most
// responses take less than a millisecond, so neither a timer nor a goroutine per request pays.
type presence struct {
	mu   sync.Mutex
	gone bool // the client closed its side
	left func(any)
	arg  any

	known bool   // the socket is watched, or cannot be
	id    uint64 // in the site's watcher; 0: not watched
}

// tellGone is called when the client has closed its side.
func (c *Conn) tellGone() {
	p := &c.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.tell()
}

// tell must be called with the lock held, so that nothing is called after unwatch.
func (p *presence) tell() {
	if p.gone && p.left != nil {
		p.left(p.arg)
		p.left, p.arg = nil, nil
	}
}

func (w *h1Wire) Watch(r *Request, left func(any), arg any) {
	c := r.Conn
	p := &c.presence
	if !p.known && left != nil {
		p.known = true
		c.lookAfterSocket()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.arg = left, arg
	p.tell()
}

// lookAfterSocket starts to watch for the client's disconnect. If that fails, handlers find out when they check
// themselves (ClientLeft).
func (c *Conn) lookAfterSocket() {
	socket, ok := c.raw.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return // closed; reading will tell
	}
	watcher := c.site.hangups()
	if watcher == nil {
		return
	}
	if c.presence.id, err = watcher.Hangup(raw, c.tellGone); err != nil {
		c.server.Log.Logf(logs.Info, "%vcannot watch for the client's disconnect: %v",
			logs.Connection(c.Serial), err)
	}
}

// forgetSocket stops watching when the connection ends.
func (c *Conn) forgetSocket() {
	if c.presence.id != 0 {
		c.site.hangups().Remove(c.presence.id)
	}
}

// hangups gives the watcher of the site's sockets, which begins when the first request of a site watches; nil where the
// system cannot tell.
func (s *Site) hangups() *socketwatch.Watcher {
	return s.watcher.Get(func(err error) {
		s.servers[0].Log.Logf(logs.Warn, "cannot watch for client disconnects; they will be detected late: %v", err)
	})
}
