package upstream

import "golang.org/x/sys/unix"

// peek is Conn.look: it checks, without waiting, whether there is anything to read: bytes, the end or an error.
func (c *Conn) peek(fd uintptr) {
	c.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	n, err := unix.Poll(c.poll[:], 0)
	// An interrupted check says nothing; the request will find out.
	c.silent = n == 0 || err == unix.EINTR
}
