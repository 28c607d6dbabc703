package side

import (
	"io"
	"syscall"

	"starling/lib/sockio"
)

// maxArrivedBytes is how much of what a client has sent is taken before its connection is closed: nginx's buffer for a
// request's head.
const maxArrivedBytes = 1 << 10

// arrived takes what has arrived on a connection without waiting for more. A connection that is closed with unread
// bytes is reset, and the client may lose what it was sent.
func arrived(conn io.Reader) []byte {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	bytes := make([]byte, maxArrivedBytes)
	n := 0
	raw.Control(func(fd uintptr) { n, _ = sockio.Recv(fd, bytes) }) // a failure means that nothing has arrived
	return bytes[:n]
}
