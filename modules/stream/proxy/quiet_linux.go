package proxy

import (
	"math"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// quietFor asks the kernel how long a socket has neither received nor sent data.
func quietFor(socket *net.TCPConn) time.Duration {
	quiet := time.Duration(math.MaxInt64)
	raw, err := socket.SyscallConn()
	if err != nil {
		return quiet
	}
	raw.Control(func(fd uintptr) { // fails only on a closed socket
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			quiet = time.Duration(min(info.Last_data_recv, info.Last_data_sent)) * time.Millisecond
		}
	})
	return quiet
}
