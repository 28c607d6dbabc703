package web

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"starling/nginx/trusted"
	"starling/web/h1"
)

// TargetStands tells that Path and Query are still those of Target: nothing was rewritten, and there was no redirect
// inside.
func (r *Request) TargetStands() bool {
	return sameBytes(r.Path, r.in.Path) && sameBytes(r.Query, r.in.Args)
}

// sameBytes tells whether two slices are one.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// Forwarded tells who a client that is believed says the request comes from: from the values of a request header, of
// which the last counts first. changed is false where nothing is believed.
func (r *Request) Forwarded(
	header h1.Known,
	from netip.AddrPort,
	networks *trusted.Networks,
	recursive bool,
) (addr netip.AddrPort, changed bool) {
	if !r.Seen.Has(header) {
		return from, false
	}
	return trusted.Address(from, networks, recursive, func(yield func([]byte) bool) {
		for i := len(r.Headers) - 1; i >= 0; i-- {
			if r.Headers[i].ID == header && !yield(r.Headers[i].Value) {
				return
			}
		}
	})
}

// HasErrorPage tells whether error_page would answer a status.
func (r *Request) HasErrorPage(status int) bool {
	if r.inErrorPage {
		return false
	}
	for i := range r.Location.Core.ErrorPages {
		if r.Location.Core.ErrorPages[i].Status == status {
			return true
		}
	}
	return false
}

// ClientLeft looks, without waiting, whether the client has closed its side of the connection or given up the request.
// In HTTP/1 it is a system call.
func (r *Request) ClientLeft() bool { return r.site.gate.Closed() || r.wire.Left(r) }

// socketClosed asks the system.
func (c *Conn) socketClosed() bool {
	happened, err := c.poll(peerClosed)
	return happened || err != nil
}

// readable tells, without waiting, whether the client has sent something, or has gone.
func (c *Conn) readable() bool {
	happened, err := c.poll(unix.POLLIN)
	return happened && err == nil
}

// poll tells whether one of the events has happened on the socket, false where the connection is none. Its error is
// that of a closed one.
func (c *Conn) poll(events int16) (happened bool, err error) {
	socket, ok := c.raw.(syscall.Conn)
	if !ok {
		return false, nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false, err
	}
	err = raw.Control(func(fd uintptr) {
		look := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(look[:], 0)
		happened = err == nil && n > 0
	})
	return happened, err
}

// InterruptBody makes a ReadBody in another goroutine fail with a timeout; it may be called at any time during the
// request. Once that goroutine has ended, ResumeBody makes the body readable again.
func (r *Request) InterruptBody() { r.wire.Interrupt(r, true) }

// ResumeBody undoes InterruptBody.
func (r *Request) ResumeBody() { r.wire.Interrupt(r, false) }
