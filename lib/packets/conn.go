package packets

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Conn is one session: each Read returns one datagram of the client, each Write sends it one. It has no end of its own:
// it ends when it is closed. Thousands of them are quiet, so it has no fields that only a waiting reader needs.
type Conn struct {
	l      *Listener
	key    key
	source []byte // control message that sends answers from the address that was addressed
	once   sync.Once
	begun  atomic.Bool // the first datagram of the session was taken
	closed atomic.Bool

	mu       sync.Mutex // after the listener's
	queue    [][]byte   // nil while nothing waits
	deadline time.Time
	changed  chan struct{} // closed at the next change; nil while nothing waits
	receiver Receiver
}

// Receiver is notified of a session without a waiting reader. It is called with locks held: it must not wait, nor call
// the session.
type Receiver interface {
	// Arrived reports that there is a datagram for Poll.
	Arrived()
	// Closed reports that the session or the socket was closed.
	Closed()
}

func (l *Listener) newConn(k key) *Conn {
	c := &Conn{l: l, key: k}
	if k.local.IsValid() {
		if l.four {
			c.source = (&ipv4.ControlMessage{Src: k.local.AsSlice()}).Marshal()
		} else {
			c.source = source6(k.local)
		}
	}
	return c
}

// source6 is the control message of an IPv6 socket. Marshal omits IPv4 addresses, which such a socket represents as
// IPv4 in IPv6, so the address overwrites a placeholder.
func source6(a netip.Addr) []byte {
	message := (&ipv6.ControlMessage{Src: net.IPv6loopback}).Marshal()
	bytes16 := a.As16()
	if at := bytes.Index(message, net.IPv6loopback); at >= 0 {
		copy(message[at:], bytes16[:])
	}
	return message
}

// enqueue queues a datagram for a read; false if too many wait.
func (c *Conn) enqueue(data []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) >= maxWaiting {
		return false
	}
	c.queue = append(c.queue, data)
	c.change()
	if c.receiver != nil {
		c.receiver.Arrived()
	}
	return true
}

// dequeue takes the datagram that has waited longest.
func (c *Conn) dequeue() (data []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return nil, false
	}
	data, c.queue[0] = c.queue[0], nil
	if c.queue = c.queue[1:]; len(c.queue) == 0 {
		c.queue = nil
	}
	return data, true
}

// change wakes the waiters; called with the lock held.
func (c *Conn) change() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// Attend sets the receiver of later events, and notifies it of datagrams that already wait.
func (c *Conn) Attend(r Receiver) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receiver = r
	if len(c.queue) > 0 {
		r.Arrived()
	}
	if c.over() {
		r.Closed()
	}
}

// tellClosed wakes the waiters of a session that has ended.
func (c *Conn) tellClosed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change()
	if c.receiver != nil {
		c.receiver.Closed()
	}
}

func (c *Conn) over() bool { return c.closed.Load() || c.l.ended() }

// Waits reports whether Poll has something to return.
func (c *Conn) Waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) > 0 || c.over()
}

// Poll takes the next datagram, or reports that none waits.
func (c *Conn) Poll() (data []byte, ok bool, err error) {
	if c.over() {
		return nil, false, net.ErrClosed
	}
	if data, ok = c.dequeue(); ok {
		c.begun.Store(true)
		c.l.waiting.Add(-int64(len(data)))
	}
	return data, ok, nil
}

// Read waits for a datagram; bytes that do not fit into p are lost.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		changed, deadline := c.wait()
		data, ok, err := c.Poll()
		switch {
		case ok || err != nil:
			return copy(p, data), err
		case !deadline.IsZero() && !time.Now().Before(deadline):
			return 0, os.ErrDeadlineExceeded
		}
		c.sleep(changed, deadline)
	}
}

// wait returns a channel that is closed at the next change.
func (c *Conn) wait() (changed <-chan struct{}, deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.changed, c.deadline
}

func (c *Conn) sleep(changed <-chan struct{}, deadline time.Time) {
	var expired <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-changed:
	case <-expired:
	}
}

// Write sends a datagram to the client. It does not wait: a datagram that does not fit into the socket's buffer is
// lost.
func (c *Conn) Write(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, _, err := c.l.socket.WriteMsgUDPAddrPort(p, c.source, c.key.remote)
	return n, err
}

// Forget makes later datagrams of the client, and waiting ones, begin another session.
func (c *Conn) Forget() {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.forget()
}

func (c *Conn) forget() {
	l := c.l
	if l.sessions[c.key] == c {
		delete(l.sessions, c.key)
	}
	for {
		data, ok := c.dequeue()
		if !ok {
			return
		}
		if c.begun.Swap(true) {
			l.put(c.key, data)
		} else {
			l.waiting.Add(-int64(len(data))) // it began this session, read or not, and must not begin another one
		}
	}
}

// Close ends the session. Waiting datagrams begin another, except the one that began this.
func (c *Conn) Close() error {
	c.once.Do(func() {
		c.closed.Store(true)
		c.tellClosed()
		c.l.mu.Lock()
		defer c.l.mu.Unlock()
		c.l.left(c)
		c.forget()
	})
	return nil
}

// LocalAddr is the address that the client addressed, RemoteAddr is the client's.
func (c *Conn) LocalAddr() net.Addr {
	local := c.l.socket.LocalAddr().(*net.UDPAddr)
	if c.key.local.IsValid() {
		return net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.key.local, uint16(local.Port)))
	}
	return local
}

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.key.remote) }

// SetDeadline is SetReadDeadline: writes do not wait.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline bounds the current read and later ones; the zero time removes the bound.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	c.change()
	return nil
}

// SetWriteDeadline does nothing: writes do not wait.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
