package web

import (
	"sync"
	"syscall"

	"starling/lib/socketwatch"
	"starling/logs"
)

// Watch has left called with arg, at most once, when the client goes away before Unwatch: from another goroutine, or
// from within Watch where it has gone already. It is for a handler that waits for something else; left must not wait.
func (r *Request) Watch(left func(arg any), arg any) { r.wire.Watch(r, left, arg) }

// Unwatch ends Watch. When it returns, left is not called any more.
func (r *Request) Unwatch() { r.wire.Watch(r, nil, nil) }

// presence is what is known of the client's side of a socket. A request that watches costs two locks that nobody else
// holds: most answers come within a millisecond, and neither a timer nor a goroutine per request pays there.
type presence struct {
	mu   sync.Mutex
	gone bool // the client closed its side
	left func(any)
	arg  any

	known bool   // somebody looks after the socket, or nobody can
	id    uint64 // with the site's hangups; 0: nobody looks
}

// tellGone is called when the client has closed its side.
func (c *Conn) tellGone() {
	p := &c.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.tell()
}

// tell must be called with the lock held, so that nobody is told after unwatch.
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

// lookAfterSocket begins to look for the client's going. Where that fails, handlers find out when they look themselves
// (ClientLeft).
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
		c.server.Log.Logf(logs.Info, "*%d cannot watch for the client's disconnect: %v", c.Serial, err)
	}
}

// forgetSocket ends looking, when the connection ends.
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
