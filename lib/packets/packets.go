// Package packets makes sessions of the datagrams of a UDP socket: all datagrams from one client to one address are one
// session, a net.Conn whose reads and writes are datagrams.
package packets

import (
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

// Limits of what strangers can grow. Source addresses of datagrams can be forged, so any stranger can reach each of
// these.
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
	sessions    map[key]*Conn      // that get datagrams
	live        map[*Conn]struct{} // that were not closed, including forgotten ones
	maxSessions int
	budget      *Budget // nil: none
	tellRefused func(why string)
	quietUntil  time.Time
	pause       *pause // nil: the listener is not paused
}

// pause is the time from a Pause to its Resume.
type pause struct {
	begun   chan struct{} // closed when no read is under way any more
	resumed chan struct{}
	once    sync.Once // of begun
}

// key is the pair of client and local address.
type key struct {
	remote netip.AddrPort
	local  netip.Addr
}

// Listen makes a listener of a UDP socket and takes ownership: it closes the socket if it fails.
func Listen(socket *net.UDPConn) (*Listener, error) {
	local := socket.LocalAddr().(*net.UDPAddr).AddrPort()
	l := &Listener{socket: socket, wildcard: local.Addr().IsUnspecified(), four: local.Addr().Is4(),
		accepted: make(chan *Conn, maxAccepting), closed: make(chan struct{}), sessions: map[key]*Conn{},
		live: map[*Conn]struct{}{}, maxSessions: DefaultMaxSessions}
	if l.wildcard {
		if err := l.askForDestinations(); err != nil {
			return nil, errors.Join(err, socket.Close())
		}
	}
	go l.read()
	return l, nil
}

// askForDestinations makes the kernel report to which of the machine's addresses each datagram was sent: answers must
// come from there.
func (l *Listener) askForDestinations() error {
	if l.four {
		return ipv4.NewPacketConn(l.socket).SetControlMessage(ipv4.FlagDst, true)
	}
	return ipv6.NewPacketConn(l.socket).SetControlMessage(ipv6.FlagDst, true)
}

// read passes each datagram to its session.
func (l *Listener) read() {
	buf, control := make([]byte, maxDatagramBytes), make([]byte, 256)
	for {
		n, controlled, _, remote, err := l.socket.ReadMsgUDPAddrPort(buf, control)
		switch {
		case errors.Is(err, net.ErrClosed):
			l.fail(net.ErrClosed)
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			l.awaitResume()
			continue
		case err != nil:
			continue // an ICMP error about an earlier answer; the next read returns the next datagram
		}
		k := key{remote: netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())}
		if l.wildcard {
			k.local = l.destination(control[:controlled])
		}
		l.deliver(k, buf[:n])
	}
}

// Pause leaves datagrams in the socket, for another process that has it too. Sessions can still send. When it returns
// without an error, no datagram is read any more; one that was being read is in its session.
func (l *Listener) Pause() error {
	l.mu.Lock()
	if l.pause == nil {
		l.pause = &pause{begun: make(chan struct{}), resumed: make(chan struct{})}
	}
	p := l.pause
	err := l.socket.SetReadDeadline(time.Unix(1, 0))
	l.mu.Unlock()
	if err != nil {
		return err
	}
	// A read that began before reads a datagram that comes after the deadline was set.
	select {
	case <-p.begun:
	case <-p.resumed:
	case <-l.closed:
	}
	return nil
}

// Resume ends Pause.
func (l *Listener) Resume() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pause == nil {
		return nil
	}
	err := l.socket.SetReadDeadline(time.Time{})
	close(l.pause.resumed)
	l.pause = nil
	return err
}

func (l *Listener) awaitResume() {
	l.mu.Lock()
	p := l.pause
	l.mu.Unlock()
	if p == nil {
		return // it was resumed meanwhile, or Pause follows
	}
	p.once.Do(func() { close(p.begun) })
	select {
	case <-p.resumed:
	case <-l.closed:
	}
}

// destination reads the address to which a datagram was sent.
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

// deliver queues a datagram in its session, which may be new. A datagram that does not fit is lost, as in any network.
func (l *Listener) deliver(k key, data []byte) {
	if l.waiting.Add(int64(len(data))) > maxWaitingBytes {
		l.drop(data)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(k, append([]byte(nil), data...))
}

// put passes a datagram that was counted as waiting to its session; called with the lock held.
func (l *Listener) put(k key, data []byte) {
	c := l.sessions[k]
	fresh := c == nil
	if fresh {
		if l.ended() || len(l.accepted) == cap(l.accepted) || !l.admits() { // only put fills accepted, under the lock
			l.drop(data)
			return
		}
		c = l.newConn(k)
		l.live[c] = struct{}{}
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

// Dropped counts the datagrams that were dropped here.
func (l *Listener) Dropped() uint64 { return l.dropped.Load() }

func (l *Listener) fail(err error) {
	l.once.Do(func() {
		l.failure = err
		close(l.closed)
		l.mu.Lock()
		defer l.mu.Unlock()
		for c := range l.live {
			c.tellClosed()
		}
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

// Close closes the socket. Its sessions can no longer send.
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
