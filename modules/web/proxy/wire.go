package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"starling/upstream"
	"starling/web/h1"

	"golang.org/x/sys/unix"
)

// wire is what stays with a connection to a server from request to request.
type wire struct {
	in   h1.Buffer
	out  h1.Writer
	head h1.ResponseHead
	body h1.Body
	tls  *tls.Config     // that the connection was made with; nil for a plain one
	raw  syscall.RawConn // nil where there is no socket to look at
	look func(fd uintptr)
	seen bool // by look: there is something to read
	// readUntilMS and writeUntilMS are when the deadlines set last expire, by the monotonic clock.
	readUntilMS, writeUntilMS int64
}

// wireOf gives a connection its wire.
func wireOf(c *upstream.Conn) *wire {
	if w, ok := c.Attachment.(*wire); ok {
		return w
	}
	w := &wire{}
	w.in.Attach(c.Conn)
	w.out.Attach(c.Conn)
	w.watch(c.Conn)
	c.Attachment = w
	return w
}

// watch remembers the socket under a connection.
func (w *wire) watch(c net.Conn) {
	if sealed, ok := c.(*tls.Conn); ok {
		c = sealed.NetConn()
	}
	socket, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return // a closed connection, as the next write will find out
	}
	w.raw = raw
	w.look = func(fd uintptr) {
		poll := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll[:], 0)
		w.seen = err == nil && n > 0
	}
}

// readable tells, without waiting, whether the server has sent something or closed.
func (w *wire) readable() bool {
	if len(w.in.Unread()) > 0 {
		return true
	}
	if w.raw == nil || w.raw.Control(w.look) != nil {
		return false
	}
	return w.seen
}

// rest ends a request on the wire: what its head points to is void from here on.
func (w *wire) rest() {
	w.in.Recycle()
	w.in.Release()
	w.out.Release()
}

// close gives all memory back.
func (w *wire) close() {
	w.in.Detach()
	w.out.Release()
}

// The longest times between two looks at a client whose server is being waited for: soon at first, seldom when the wait is long.
const (
	firstGlance = 250 * time.Millisecond
	laterGlance = time.Second
	// soon is how long a wait counts as new.
	soon = 2 * time.Second
)

// arm sees to it that reads fail within one to two glances, so that a waiting request notices that its client left.
func (w *wire) arm(c *upstream.Conn, nowMS int64, waited, timeout time.Duration) error {
	glance := max(min(firstGlance, timeout), time.Millisecond)
	if waited >= soon && timeout >= laterGlance {
		glance = laterGlance
	}
	least := nowMS + glance.Milliseconds()
	if w.readUntilMS >= least && w.readUntilMS <= least+glance.Milliseconds() {
		return nil
	}
	w.readUntilMS = least + glance.Milliseconds()
	return c.SetReadDeadline(time.Now().Add(2 * glance))
}

// writeSlack is how much later than asked a write may time out: it saves setting a deadline for each.
const writeSlack = time.Second

// armWrite sees to it that writes fail after timeout, or writeSlack later.
func (w *wire) armWrite(c *upstream.Conn, nowMS int64, timeout time.Duration) error {
	least := nowMS + timeout.Milliseconds()
	slack := min(writeSlack, timeout/4)
	if w.writeUntilMS >= least && w.writeUntilMS <= least+slack.Milliseconds() {
		return nil
	}
	w.writeUntilMS = least + slack.Milliseconds()
	return c.SetWriteDeadline(time.Now().Add(timeout + slack))
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// failureOfMessage tells a message that breaks the rules from a connection that broke.
func failureOfMessage(err error) bool {
	var problem *h1.Problem
	return errors.As(err, &problem)
}
