// Package packets makes sessions of the datagrams of a UDP socket: all that come from one client to one address are one
// session, a net.Conn whose reads and writes are datagrams.
package packets

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// What strangers can make grow. Source addresses of datagrams can be forged, so each of these is reached by anybody who
// likes.
const (
	// maxWaiting bounds the datagrams that wait for one session to read them; a kernel's socket buffer holds about as
	// many.
	maxWaiting = 128
	// maxWaitingBytes bounds them for all sessions of a socket together.
	maxWaitingBytes = 64 << 20
	// maxAccepting bounds the sessions that wait for Accept.
	maxAccepting = 511
)

// maxDatagramBytes is more than any datagram over IP holds.
const maxDatagramBytes = 64 << 10

// Listener is a UDP socket whose sessions are accepted like connections.
type Listener struct {
	socket   *net.UDPConn
	wildcard bool
	four     bool
	accepted chan *Conn
	closed   chan struct{}
	failure  error // set before closed is closed
	once     sync.Once
	waiting  atomic.Int64 // bytes in all queues
	dropped  atomic.Uint64

	mu          sync.Mutex
	sessions    map[key]*Conn // that get datagrams
	live        int           // sessions that were not closed, forgotten ones too
	maxSessions int
	budget      *Budget // nil: none
	tellRefused func(why string)
	quietUntil  time.Time
}

// key is who speaks to whom.
type key struct {
	remote netip.AddrPort
	local  netip.Addr
}

// Listen makes a listener of a UDP socket, which is the listener's from now on: it is closed where Listen fails.
func Listen(socket *net.UDPConn) (*Listener, error) {
	local := socket.LocalAddr().(*net.UDPAddr).AddrPort()
	l := &Listener{socket: socket, wildcard: local.Addr().IsUnspecified(), four: local.Addr().Is4(),
		accepted: make(chan *Conn, maxAccepting), closed: make(chan struct{}), sessions: map[key]*Conn{},
		maxSessions: DefaultMaxSessions}
	if l.wildcard {
		if err := l.askForDestinations(); err != nil {
			return nil, errors.Join(err, socket.Close())
		}
	}
	go l.read()
	return l, nil
}

// askForDestinations has the kernel tell to which of the machine's addresses each datagram was sent: answers must come
// from there.
func (l *Listener) askForDestinations() error {
	if l.four {
		return ipv4.NewPacketConn(l.socket).SetControlMessage(ipv4.FlagDst, true)
	}
	return ipv6.NewPacketConn(l.socket).SetControlMessage(ipv6.FlagDst, true)
}

// read gives each datagram to its session.
func (l *Listener) read() {
	buf, control := make([]byte, maxDatagramBytes), make([]byte, 256)
	for {
		n, controlled, _, remote, err := l.socket.ReadMsgUDPAddrPort(buf, control)
		switch {
		case errors.Is(err, net.ErrClosed):
			l.fail(net.ErrClosed)
			return
		case err != nil:
			continue // an ICMP error about an earlier answer; the next read has the next datagram
		}
		k := key{remote: netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())}
		if l.wildcard {
			k.local = l.destination(control[:controlled])
		}
		l.deliver(k, remote, buf[:n])
	}
}

// destination reads the address that a datagram was sent to.
func (l *Listener) destination(control []byte) netip.Addr {
	var dst net.IP
	if l.four {
		var m ipv4.ControlMessage
		if m.Parse(control) == nil {
			dst = m.Dst
		}
	} else {
		var m ipv6.ControlMessage
		if m.Parse(control) == nil {
			dst = m.Dst
		}
	}
	a, _ := netip.AddrFromSlice(dst)
	return a.Unmap()
}

// deliver puts a datagram into the queue of its session, which may be new. What does not fit is lost, as the network
// may lose any.
func (l *Listener) deliver(k key, remote netip.AddrPort, data []byte) {
	if l.waiting.Add(int64(len(data))) > maxWaitingBytes {
		l.drop(data)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(k, remote, append([]byte(nil), data...))
}

// put gives a datagram that was counted as waiting to its session; called with the lock held.
func (l *Listener) put(k key, remote netip.AddrPort, data []byte) {
	c := l.sessions[k]
	fresh := c == nil
	if fresh {
		if l.ended() || len(l.accepted) == cap(l.accepted) || !l.admit() { // only put fills accepted, under the lock
			l.drop(data)
			return
		}
		c = l.newConn(k, remote)
	}
	if !c.enqueue(data) {
		l.drop(data)
		return
	}
	if fresh {
		l.sessions[k] = c
		l.accepted <- c
	}
}

func (l *Listener) ended() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

func (l *Listener) drop(data []byte) {
	l.waiting.Add(-int64(len(data)))
	l.dropped.Add(1)
}

// Dropped counts the datagrams that were lost here.
func (l *Listener) Dropped() uint64 { return l.dropped.Load() }

func (l *Listener) fail(err error) {
	l.once.Do(func() {
		l.failure = err
		close(l.closed)
	})
}

// Accept returns the next session. The first datagram waits in it.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "udp", Addr: l.Addr(), Err: l.failure}
	}
}

// Close closes the socket. Its sessions can send no more.
func (l *Listener) Close() error {
	err := l.socket.Close()
	l.fail(net.ErrClosed)
	l.mu.Lock()
	//lint:ignore SA2001 whoever held the lock has put its session in; from here on put adds nothing
	l.mu.Unlock()
	for {
		select {
		case c := <-l.accepted:
			err = errors.Join(err, c.Close())
			continue
		default:
		}
		return err
	}
}

// Addr is the socket's.
func (l *Listener) Addr() net.Addr { return l.socket.LocalAddr() }

// Conn is one session: each Read returns one datagram of the client, each Write sends it one. It has no end: it is over
// when it is closed.
type Conn struct {
	l      *Listener
	key    key
	remote netip.AddrPort
	source []byte // control message that makes answers come from the address that was asked
	closed chan struct{}
	once   sync.Once
	begun  atomic.Bool // the datagram that began the session was taken
	read   deadline

	mu      sync.Mutex    // after the listener's
	queue   [][]byte      // nil while nothing waits: thousands of quiet sessions hold no memory for datagrams
	arrived chan struct{} // has an element while something waits
}

// enqueue has a datagram wait for a read; false where too many wait.
func (c *Conn) enqueue(data []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) >= maxWaiting {
		return false
	}
	c.queue = append(c.queue, data)
	c.signal()
	return true
}

// dequeue takes the datagram that waits longest.
func (c *Conn) dequeue() (data []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return nil, false
	}
	data, c.queue[0] = c.queue[0], nil
	if c.queue = c.queue[1:]; len(c.queue) == 0 {
		c.queue = nil
	} else {
		c.signal() // for another who reads
	}
	return data, true
}

func (c *Conn) signal() {
	select {
	case c.arrived <- struct{}{}:
	default:
	}
}

func (l *Listener) newConn(k key, remote netip.AddrPort) *Conn {
	c := &Conn{l: l, key: k, remote: remote, closed: make(chan struct{}), arrived: make(chan struct{}, 1)}
	c.read.changed = make(chan struct{})
	if k.local.IsValid() {
		if l.four {
			c.source = (&ipv4.ControlMessage{Src: k.local.AsSlice()}).Marshal()
		} else {
			c.source = source6(k.local)
		}
	}
	return c
}

// source6 is the control message of an IPv6 socket. Marshal leaves out IPv4 addresses, which such a socket has as IPv4
// in IPv6, so the address is put in the place of another one.
func source6(a netip.Addr) []byte {
	message := (&ipv6.ControlMessage{Src: net.IPv6loopback}).Marshal()
	bytes16 := a.As16()
	if at := bytes.Index(message, net.IPv6loopback); at >= 0 {
		copy(message[at:], bytes16[:])
	}
	return message
}

// Read waits for a datagram; what does not fit into p is lost.
func (c *Conn) Read(p []byte) (int, error) {
	data, err := c.Take()
	return copy(p, data), err
}

// Take waits for a datagram and hands it over: who waits needs no memory for it.
func (c *Conn) Take() ([]byte, error) {
	for {
		expired, changed := c.read.wait()
		select {
		case <-c.arrived:
			if data, ok := c.dequeue(); ok {
				c.begun.Store(true)
				c.l.waiting.Add(-int64(len(data)))
				return data, nil
			}
		case <-c.closed:
			return nil, net.ErrClosed
		case <-c.l.closed:
			return nil, net.ErrClosed
		case <-expired:
			return nil, os.ErrDeadlineExceeded
		case <-changed:
		}
	}
}

// Write sends a datagram to the client. It does not wait: what the socket's buffer does not take is lost.
func (c *Conn) Write(p []byte) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	n, _, err := c.l.socket.WriteMsgUDPAddrPort(p, c.source, c.remote)
	return n, err
}

// Forget says that further datagrams of the client, and those that wait, begin another session.
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
			l.put(c.key, c.remote, data)
		} else {
			l.waiting.Add(-int64(len(data))) // it began this session, read or not, and must not begin another one
		}
	}
}

// Close ends the session. Datagrams that wait begin another, but for the one that began this.
func (c *Conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.l.mu.Lock()
		defer c.l.mu.Unlock()
		c.l.left()
		c.forget()
	})
	return nil
}

// LocalAddr is the address that the client asked, RemoteAddr is the client's.
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

// SetReadDeadline bounds the current read and those to come; the zero time does not.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.read.set(t)
	return nil
}

// SetWriteDeadline does nothing: writes do not wait.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// deadline is a moment that can be moved while it is waited for.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	expired chan struct{}
	changed chan struct{}
}

// wait returns what is closed when the moment has come, nil for never, and when it is moved.
func (d *deadline) wait() (expired, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.expired, d.changed
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer, d.expired = nil, nil
	if !t.IsZero() {
		over := make(chan struct{})
		d.expired = over
		if left := time.Until(t); left > 0 {
			d.timer = time.AfterFunc(left, func() { close(over) })
		} else {
			close(over)
		}
	}
	close(d.changed)
	d.changed = make(chan struct{})
}
