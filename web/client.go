package web

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"starling/nginx/trusted"
	"starling/web/h1"
)

// TargetStands reports whether Path and Query are still those of Target: nothing was rewritten or redirected
// internally.
func (r *Request) TargetStands() bool {
	return r.PathStands() && sameBytes(r.Query, r.in.Args)
}

// PathStands reports whether Path is still that of Target.
func (r *Request) PathStands() bool { return sameBytes(r.Path, r.in.Path) }

// sameBytes reports whether two slices are the same memory.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// Forwarded returns the origin of a request according to a trusted client: from the values of a request header, the
// last one first. changed is false if none is trusted.
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

// HasErrorPage reports whether error_page handles a status.
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

// ClientLeft checks, without waiting, whether the client has closed its side of the connection or abandoned the
// request. In HTTP/1 it is a system call.
func (r *Request) ClientLeft() bool {
	return r.site.gate.Closed() || r.fence.Fallen() || !r.silent && r.wire.Left(r)
}

// socketClosed asks the system.
func (c *Conn) socketClosed() bool {
	happened, err := c.poll(peerClosed)
	return happened || err != nil
}

// readable reports, without waiting, whether the client has sent something or disconnected.
func (c *Conn) readable() bool {
	happened, err := c.poll(unix.POLLIN)
	return happened && err == nil
}

// writable reports, without waiting, whether the socket has room for a last piece: the system says so while a third of
// its memory is free.
func (c *Conn) writable() bool {
	if _, ok := c.raw.(syscall.Conn); !ok {
		return true
	}
	happened, err := c.poll(unix.POLLOUT)
	return happened || err != nil
}

// poll reports whether one of the events has happened on the socket, false if the connection is none. Its error is that
// of a closed one.
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

// LendBody says whether another goroutine reads the body. Meanwhile Delay does not read ahead.
func (r *Request) LendBody(lent bool) { r.bodyLent = lent }

// InterruptBody makes a ReadBody in another goroutine fail with a timeout; it can be called at any time during the
// request. Once that goroutine has ended, ResumeBody makes the body readable again.
func (r *Request) InterruptBody() { r.wire.Interrupt(r, true) }

// ResumeBody undoes InterruptBody.
func (r *Request) ResumeBody() { r.wire.Interrupt(r, false) }
