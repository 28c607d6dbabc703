package carrier

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// beforeConnect limits the kernel's back-off of lost SYNs to what our own overlapping attempts make up for.
func beforeConnect(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		// Best effort: if it fails the kernel's default of 6 retries applies, and the connect timeout ends it.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_SYNCNT, 3)
	})
}

// setOptions makes the kernel give up on a dead peer after the timeout instead of minutes. TCP_NODELAY is Go's default.
func setOptions(nc net.Conn, timeout time.Duration) {
	for { // through TLS and byte counters
		wrapped, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		nc = wrapped.NetConn()
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return // closed already: the reader will report it
	}
	raw.Control(func(fd uintptr) {
		// Best effort: without it the protocol's own timeout ends the connection.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
	})
}

// setLowWater wakes the reader of a socket only when so many bytes, or the end, are there. Without it each byte wakes
// the reader.
func setLowWater(socket *net.TCPConn, bytes int) bool {
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes)
	})
	return err == nil && failed == nil
}
