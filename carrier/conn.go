package carrier

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"starling/cluster"
)

var (
	errClosed = errors.New("connection closed by peer")
	// errTurnedAway is all that a node sees if the peer rejects its certificate or address.
	errTurnedAway = errors.New("peer closed the connection without answering the hello; see its error log " +
		"(it may reject this node's certificate or address, or only one side uses TLS)")
)

// conn is one connection with its session: a reader and a writer goroutine.
type conn struct {
	carrier *Carrier
	net     net.Conn
	remote  string
	session *cluster.Session
	wake    chan struct{}
	leave   func() // the door, once the peer is identified
	once    sync.Once
	broken  atomic.Pointer[error]
	keeps   atomic.Int64 // calls of Keep not yet served
	sibling bool         // the other process of this node is there: see link.go
}

const (
	// writeBytes is how much one write takes from the outbox: enough to amortise a system call, little enough that
	// fresh frames do not wait long behind it.
	writeBytes = 128 << 10
	// keepBytes is what a writer's buffer keeps after a huge frame.
	keepBytes = 4 * writeBytes
	// maxWriteCost bounds what one write counts in the pacing of flushes: a peer that does not read blocks only its own
	// writer, and must not slow the others.
	maxWriteCost = 50 * time.Microsecond
)

// carry runs a session over a connection until both have ended. It returns the session and why it ended. owner is the
// dialer that dialled, nil for an accepted connection.
func (c *Carrier) carry(nc net.Conn, about cluster.Connection, owner *dialer) (*cluster.Session, error) {
	cn := &conn{
		carrier: c, net: nc, remote: about.Address, wake: make(chan struct{}, 1), sibling: about.Sibling,
	}
	if remote := nc.RemoteAddr(); remote != nil {
		cn.remote = remote.String()
	}
	about.Tag = cn
	session, err := c.node.Connected(about, c.clock.Now())
	if err != nil {
		nc.Close()
		return nil, err
	}
	cn.session = session
	if !c.register(cn) {
		nc.Close()
		session.Lost(net.ErrClosed, c.clock.Now())
		return nil, net.ErrClosed
	}
	if owner != nil {
		owner.hold(session)
		defer owner.hold(nil)
	}
	cn.leave = func() {}
	if owner == nil {
		cn.leave = c.door.Enter(maxGreeting, func() {
			cn.fail(
				fmt.Errorf(
					"evicted: more than %d connections are waiting for a hello and this was the oldest",
					maxGreeting,
				),
			)
		})
	}
	defer cn.leave()
	setOptions(nc, c.timeout())

	written := make(chan struct{})
	go func() {
		defer close(written)
		cn.writer()
	}()
	err = cn.reader()
	cn.poke()
	<-written
	cn.close()
	c.mu.Lock()
	delete(c.conns, cn)
	c.mu.Unlock()
	if cause := cn.broken.Load(); cause != nil {
		err = *cause
	}
	session.Lost(err, c.clock.Now())
	return session, session.Ended().Err
}

// register records a connection, unless the carrier is closed.
func (c *Carrier) register(cn *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.conns[cn] = struct{}{}
	return true
}

// maxGreeting bounds accepted connections whose hello is not complete. Beyond it the oldest is evicted: an honest node
// needs one round trip; a stranger that opens connections and sends nothing is evicted.
const maxGreeting = 256

func (c *Carrier) timeout() time.Duration {
	return time.Duration(c.config.Load().Node.Settings.TimeoutMS) * time.Millisecond
}

// poke makes the writer check the outbox.
func (cn *conn) poke() {
	select {
	case cn.wake <- struct{}{}:
	default:
	}
}

func (cn *conn) close() { cn.once.Do(func() { cn.net.Close() }) }

// fail closes the connection after an error of the socket; the first error counts.
func (cn *conn) fail(err error) {
	err = plain(err, cn.carrier.timeout())
	cn.broken.CompareAndSwap(nil, &err)
	cn.close()
}

// failWriting is fail for an error of a write. If the other process of this node has ended, the socket still has what
// it sent last, which nobody else may have: the reader goes on to its end.
func (cn *conn) failWriting(err error) {
	if !cn.sibling || !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		cn.fail(err)
		return
	}
	err = plain(err, cn.carrier.timeout())
	cn.broken.CompareAndSwap(nil, &err)
}

// reader feeds the session until the connection or the session ends.
func (cn *conn) reader() error {
	size, most := minReceiveBytes, minReceiveBytes // a stranger gets no more
	known := false
	var water lowWater
	for {
		if !known && cn.session.PeerID() != 0 {
			known = true
			most = cn.carrier.config.Load().ReceiveBytes
			cn.leave()
			water.of(cn.net)
		}
		n, err := cn.net.Read(cn.session.Space(size))
		size = readSize(size, n, most)
		if n > 0 {
			if err := cn.session.Filled(n, cn.carrier.clock.Now()); err != nil {
				return err
			}
			water.follow(n, cn.session.Missing())
		}
		switch {
		case errors.Is(err, io.EOF):
			err = errClosed
			fallthrough
		case err != nil:
			cn.fail(err)
			return err
		}
	}
}

// readSize is the size of the read after one of n bytes: a busy connection gets zone_sync_recv_buffer_size, a quiet one
// releases it.
func readSize(size, n, most int) int {
	switch {
	case n >= size:
		return min(2*size, most)
	case n < size/4:
		return max(size/2, minReceiveBytes)
	}
	return size
}

// writer sends the session's data until the session ends, and closes the connection.
func (cn *conn) writer() {
	var buf []byte
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := cn.carrier.clock.Now()
		buf = cn.session.Outbox(buf[:0], writeBytes, now)
		if len(buf) > 0 {
			if err := cn.write(buf); err != nil {
				cn.failWriting(err)
				return
			}
			if cap(buf) > keepBytes {
				buf = nil
			}
			continue
		}
		if cn.session.Ended() != nil || cn.broken.Load() != nil {
			cn.close()
			return
		}
		var due <-chan time.Time
		if delay := cn.session.SendDelay(now); delay >= 0 {
			timer.Reset(delay)
			due = timer.C
		}
		select {
		case <-cn.wake:
		case <-due:
		}
	}
}

func (cn *conn) write(buf []byte) error {
	before := time.Now()
	cn.net.SetWriteDeadline(before.Add(cn.carrier.timeout()))
	_, err := cn.net.Write(buf)
	if cn.session.Outgoing {
		cn.carrier.node.Spent(0, min(time.Since(before), maxWriteCost))
	}
	return err
}
