package upstream

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"starling/lib/clock"
	"starling/lib/sockio"
)

// Quick is a plain TCP connection for one health check that never waits, and that the poller does not know: a check
// costs five system calls. Its user looks after it again, and leaves it to a goroutine (Wait) if its server is slow.
// It is used by one goroutine at a time.
type Quick struct {
	fd     int
	to     netip.AddrPort
	clock  *clock.Clock
	unsent []byte // because the connection is not established yet
	got    []byte // all that was received
	end    error  // that ended reading, io.EOF included
	// Starved means that Read has failed because the server has not sent enough yet.
	Starved bool
}

// maxQuickBytes bounds what is received without a goroutine: one slow test of a large body must not delay all checks.
const maxQuickBytes = 16 << 10

// Quick makes q a connection that begins. began is false if it needs DialAt. Errors are *DialError.
func (d *Dialer) Quick(q *Quick, to Address) (began bool, err error) {
	if !d.isBrief(to) || len(d.Preface) > 0 {
		return false, nil
	}
	family := unix.AF_INET6
	if to.IP.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, &DialError{Err: os.NewSyscallError("socket", err)}
	}
	if errno := sockio.Connect(fd, to.IP); errno != 0 && errno != unix.EINPROGRESS && errno != unix.EINTR {
		sockio.Close(fd)
		return false, &DialError{Err: os.NewSyscallError("connect", errno)}
	}
	if mayMeetItself(to.IP.Port()) && localAddress(fd) == to.IP {
		sockio.Close(fd)
		return false, nil // DialAt tries again
	}
	*q = Quick{fd: fd, to: to.IP, clock: d.Clock}
	return true, nil
}

// Write sends what can be sent now, and keeps the rest for Flush.
func (q *Quick) Write(p []byte) (n int, err error) {
	if len(q.unsent) > 0 {
		q.unsent = append(q.unsent, p...)
		return len(p), nil
	}
	left, err := q.send(p)
	if err != nil {
		return 0, err
	}
	if len(left) > 0 {
		q.unsent = append([]byte(nil), left...)
	}
	return len(p), nil
}

// Flush sends the rest of what was written; sent is false if some is left.
func (q *Quick) Flush() (sent bool, err error) {
	if len(q.unsent) == 0 {
		return true, nil
	}
	q.unsent, err = q.send(q.unsent)
	return len(q.unsent) == 0, err
}

func (q *Quick) send(p []byte) (left []byte, err error) {
	for len(p) > 0 {
		n, errno := sockio.Send(uintptr(q.fd), p)
		switch errno {
		case 0:
			p = p[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			return p, nil
		case syscall.ECONNRESET, syscall.EPIPE:
			return p, os.NewSyscallError("write", errno)
		default: // the end of the connect
			return p, &DialError{TimedOut: errno == syscall.ETIMEDOUT, Err: os.NewSyscallError("connect", errno)}
		}
	}
	return nil, nil
}

// Receive begins to read anew, and returns what the server has sent so far. news is false if there is nothing to look
// at: neither bytes nor the end. It uses the memory, which must not be empty, until Keep or Close.
func (q *Quick) Receive(mem []byte) (got []byte, news bool) {
	q.Starved = false
	if len(q.got) == 0 && q.end == nil {
		var n int
		n, q.end = q.recv(mem)
		q.got = mem[:n:n]
	}
	return q.got, len(q.got) > 0 || q.end != nil
}

// Got returns all that was received; Wait does not change it.
func (q *Quick) Got() []byte { return q.got }

// Keep makes the memory of Receive free again, before a later Receive.
func (q *Quick) Keep() { q.got = append([]byte(nil), q.got...) }

// Read returns what has arrived since Receive. It fails like a read after its deadline if there is nothing, or if that
// would be too much.
func (q *Quick) Read(p []byte) (n int, err error) {
	if q.end == nil && len(q.got) < maxQuickBytes {
		n, q.end = q.recv(p)
		q.got = append(q.got, p[:n]...)
	}
	if n == 0 && q.end == nil {
		q.Starved = true
		return 0, os.ErrDeadlineExceeded
	}
	return n, q.end
}

// recv returns neither bytes nor an error if nothing has arrived.
func (q *Quick) recv(p []byte) (n int, end error) {
	for {
		n, errno := sockio.Recv(uintptr(q.fd), p)
		switch {
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			return 0, nil
		case errno != 0:
			return 0, os.NewSyscallError("read", errno)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Wait makes it a connection on which a goroutine can wait, once the server has accepted it and what was written is
// sent; Keep must precede it. It replaces the Quick, also if it fails. Errors of the connect are *DialError.
func (q *Quick) Wait(ctx context.Context, s *Server, timeout, sendTimeout time.Duration) (*Conn, error) {
	b := &brief{File: os.NewFile(uintptr(q.fd), "socket"), remote: q.to}
	if len(q.unsent) > 0 {
		_, address := socketAddress(q.to)
		if err := b.finish(ctx, address, timeout); err != nil {
			b.Close()
			return nil, &DialError{TimedOut: timedOut(err), Err: err}
		}
		b.SetWriteDeadline(time.Now().Add(sendTimeout)) // as a socket it has deadlines
		stop := context.AfterFunc(ctx, func() { b.SetWriteDeadline(time.Unix(1, 0)) })
		_, err := b.Write(q.unsent)
		stop()
		if err != nil {
			b.Close()
			return nil, err
		}
	}
	return hold(b, s, q.clock)
}

// Close closes it.
func (q *Quick) Close() error {
	if errno := sockio.Close(q.fd); errno != 0 {
		return os.NewSyscallError("close", errno)
	}
	return nil
}

// LocalAddr is that of our end.
func (q *Quick) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(localAddress(q.fd)) }

// RemoteAddr is that of the server.
func (q *Quick) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(q.to) }

// SetDeadline has no effect, because nothing waits.
func (q *Quick) SetDeadline(time.Time) error { return nil }

// SetReadDeadline has no effect, because nothing waits.
func (q *Quick) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline has no effect, because nothing waits.
func (q *Quick) SetWriteDeadline(time.Time) error { return nil }
