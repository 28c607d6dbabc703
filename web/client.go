package web

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// TargetStands tells that Path and Query are still those of Target: nothing was rewritten, and there was no redirect inside.
func (r *Request) TargetStands() bool {
	return sameBytes(r.Path, r.h1.in.Path) && sameBytes(r.Query, r.h1.in.Args)
}

// sameBytes tells whether two slices are one.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// HasErrorPage tells whether error_page would answer a status.
func (r *Request) HasErrorPage(status int) bool {
	if r.inErrorPage {
		return false
	}
	for i := range r.Location.Core.ErrorPages {
		if r.Location.Core.ErrorPages[i].status == status {
			return true
		}
	}
	return false
}

// ClientLeft looks, without waiting, whether the client has closed its side of the connection. It is a system call.
func (r *Request) ClientLeft() bool {
	if r.site.closed.Load() {
		return true
	}
	socket, ok := r.Conn.raw.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	left := false
	err = raw.Control(func(fd uintptr) {
		look := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(look[:], 0)
		left = err == nil && n > 0
	})
	return left || err != nil
}
