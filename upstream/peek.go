package upstream

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peek is Conn.look: it asks the kernel for a byte without taking it and without waiting.
func (c *Conn) peek(fd uintptr) {
	var one [1]byte
	_, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err == unix.EINTR {
		err = syscall.EAGAIN
	}
	c.lookErr = err // nil: there is a byte, or the end
}
