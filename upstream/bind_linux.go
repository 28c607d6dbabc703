package upstream

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// bindWithoutPort leaves the choice of the port to the connect, as in nginx: connections to other servers can have the
// same one then.
func bindWithoutPort(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // old kernels lack it
	})
}
