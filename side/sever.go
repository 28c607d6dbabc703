package side

import (
	"net"
	"time"
)

// severedCloses is how long after it was shut down a connection is closed. Those who only watch for hang-ups see them
// while the socket is open.
const severedCloses = 100 * time.Millisecond

// Sever ends a client's connection at once, from any goroutine: its owner reads and writes errors.
func Sever(nc net.Conn) {
	half, ok := nc.(interface {
		CloseRead() error
		CloseWrite() error
	})
	if !ok {
		nc.Close() // a failure cannot be handled any more
		return
	}
	// It may have ended already, or a direction of it.
	_, _ = half.CloseWrite(), half.CloseRead()
	time.AfterFunc(severedCloses, func() { nc.Close() })
}
