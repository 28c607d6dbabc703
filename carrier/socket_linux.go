package carrier

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// beforeConnect keeps lost SYNs from being backed off beyond what attempts of our own make up for.
func beforeConnect(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		// Best effort: where it fails the kernel's default of 6 retries applies, and the connect timeout ends it.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_SYNCNT, 3)
	})
}

// setOptions makes the kernel give up on a dead peer after the timeout instead of minutes. TCP_NODELAY is Go's default.
func setOptions(nc net.Conn, timeout time.Duration) {
	for { // through TLS and through what counts bytes
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
		return // closed already: the reader will say so
	}
	raw.Control(func(fd uintptr) {
		// Best effort: without it the protocol's own timeout ends the connection.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
	})
}

// setLowWater has a reader of a socket woken when so many bytes are there, or the end. Without it each byte wakes him.
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
