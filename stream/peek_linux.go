package stream

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peek copies what a socket has received into buf without consuming it, once there are more than have bytes. It fails
// if the connection is not a socket. io.EOF means that no more will arrive.
func peek(conn net.Conn, buf []byte, have int) (n int, can bool, err error) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return 0, false, nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, true, err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, failed = look(int(fd), buf)
		switch {
		case failed == unix.EAGAIN:
			n, failed = 0, nil
			return false
		case failed != nil || n > have:
			return true
		case n == 0 || hungUp(int(fd)):
			failed = io.EOF
			return true
		}
		return false // the poller wakes us when more has arrived
	})
	if err == nil {
		err = failed
	}
	return n, true, err
}

func look(fd int, buf []byte) (int, error) {
	for {
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// hungUp reports whether the peer will send no more.
func hungUp(fd int) bool {
	state := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(state[:], 0)
	return err == nil && n > 0 && state[0].Revents != 0
}
