package web

import (
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watchAfter is how long a handler waits before somebody looks after its client: most answers come sooner, and cost nothing.
const watchAfter = 2 * time.Millisecond

// Watch has left called with arg, from another goroutine and at most once, when the client goes away before Unwatch. It is for a handler
// that waits for something else; nobody may read the request's body meanwhile.
func (r *Request) Watch(left func(arg any), arg any) { r.wire.watch(r, left, arg) }

// Unwatch ends Watch. When it returns, left is not called any more.
func (r *Request) Unwatch() { r.wire.unwatch(r) }

// watcher looks after the socket of a connection.
type watcher struct {
	timer *time.Timer
	mu    sync.Mutex
	ended sync.Cond // of parked
	left  func(any)
	arg   any

	active bool
	parked bool // a goroutine waits for the socket
}

func (w *h1Wire) watch(r *Request, left func(any), arg any) {
	c := r.Conn
	if c.watcher == nil {
		if _, ok := c.raw.(syscall.Conn); !ok {
			return
		}
		c.watcher = &watcher{}
		c.watcher.ended.L = &c.watcher.mu
		c.watcher.timer = time.AfterFunc(watchAfter, c.watchSocket)
	} else {
		c.watcher.timer.Reset(watchAfter)
	}
	c.watcher.mu.Lock()
	defer c.watcher.mu.Unlock()
	c.watcher.active, c.watcher.left, c.watcher.arg = true, left, arg
}

func (w *h1Wire) unwatch(r *Request) {
	c, watch := r.Conn, r.Conn.watcher
	if watch == nil {
		return
	}
	watch.timer.Stop()
	watch.mu.Lock()
	defer watch.mu.Unlock()
	watch.active, watch.left, watch.arg = false, nil, nil
	if watch.parked {
		c.readUntilMS = 0
		c.raw.SetReadDeadline(time.Unix(1, 0)) // wakes it up
	}
	for watch.parked {
		watch.ended.Wait()
	}
}

// watchSocket waits until the client closes its side, or unwatch.
func (c *Conn) watchSocket() {
	watch := c.watcher
	watch.mu.Lock()
	defer watch.mu.Unlock()
	if !watch.active || watch.parked {
		return // the timer came late
	}
	raw, err := c.raw.(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	watch.parked = true
	c.raw.SetReadDeadline(time.Time{})
	watch.mu.Unlock()
	closed := false
	err = raw.Read(func(fd uintptr) bool {
		look := [1]unix.PollFd{{Fd: int32(fd), Events: peerClosed}}
		n, err := unix.Poll(look[:], 0)
		closed = err == nil && n > 0
		return closed
	})
	watch.mu.Lock()
	if watch.active && (closed || err != nil) {
		watch.active = false
		watch.left(watch.arg)
	}
	watch.parked = false
	watch.ended.Broadcast()
}

func (w *h2Wire) watch(_ *Request, left func(any), arg any) { w.stream.Watch(left, arg) }

func (w *h2Wire) unwatch(*Request) { w.stream.Watch(nil, nil) }
