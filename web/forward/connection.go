package forward

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"starling/lib/deadline"
	"starling/upstream"
	"starling/web/h1"

	"golang.org/x/sys/unix"
)

// connection is a connection to a server with its state between requests.
type connection struct {
	*upstream.Conn
	wire   Wire
	family *Family         // whose protocol it speaks
	tls    *tls.Config     // with which it was made; nil for a plain one
	raw    syscall.RawConn // nil if there is no socket to check
	look   func(fd uintptr)
	seen   bool // by look: there is something to read

	readUntil, writeUntil deadline.Deadline
}

// newConnection makes the state kept with a connection.
func newConnection(c *upstream.Conn, l *location, config *tls.Config) *connection {
	k := &connection{Conn: c, wire: l.protocol.Open(c), family: l.family, tls: config}
	c.Attachment = k
	k.watch(c.Conn)
	return k
}

// watch remembers the socket under a connection.
func (c *connection) watch(conn net.Conn) {
	if sealed, ok := conn.(*tls.Conn); ok {
		conn = sealed.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return // a closed connection, as the next write will find out
	}
	c.raw = raw
	c.look = func(fd uintptr) {
		poll := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll[:], 0)
		c.seen = err == nil && n > 0
	}
}

// readable reports, without waiting, whether the server has sent something or closed.
func (c *connection) readable() bool {
	if c.wire.Buffered() {
		return true
	}
	if c.raw == nil || c.raw.Control(c.look) != nil {
		return false
	}
	return c.seen
}

// The longest intervals between two checks of the client while waiting for its server: short at first, longer when the
// wait is long.
const (
	firstGlance = 250 * time.Millisecond
	laterGlance = time.Second
	// soon is how long a wait counts as new.
	soon = 2 * time.Second
)

// arm makes reads fail within one to two glances, so that a waiting request notices a client disconnect.
func (c *connection) arm(nowMS int64, waited, timeout time.Duration) error {
	glance := max(min(firstGlance, timeout), time.Millisecond)
	if waited >= soon && timeout >= laterGlance {
		glance = laterGlance
	}
	if at, due := c.readUntil.RenewWithin(nowMS, glance, glance); due {
		return c.SetReadDeadline(at)
	}
	return nil
}

// armWrite makes writes fail after timeout, or up to deadline.Slack later.
func (c *connection) armWrite(nowMS int64, timeout time.Duration) error {
	if at, due := c.writeUntil.Renew(nowMS, timeout); due {
		return c.SetWriteDeadline(at)
	}
	return nil
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// Unprocessed reports whether an error is an Unprocessedf.
func Unprocessed(err error) bool {
	var fault *Fault
	return errors.As(err, &fault) && fault.unprocessed
}

// isCanceled reports whether an error is a Canceledf.
func isCanceled(err error) bool {
	var fault *Fault
	return errors.As(err, &fault) && fault.canceled
}

// isFault distinguishes a message that violates the protocol from a broken connection.
func isFault(err error) bool {
	var fault *Fault
	var problem *h1.Problem
	return errors.As(err, &fault) || errors.As(err, &problem) || errors.Is(err, h1.ErrHeadTooBig)
}
