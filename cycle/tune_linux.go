package cycle

import (
	"golang.org/x/sys/unix"

	"starling/nginx/sockaddr"
)

// setTCP sets TCP-only options, and only if configured: a reload without one disables it.
func setTCP(fd int, options sockaddr.Options, set func(fd, level, option, value int)) {
	if deferred, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT); err == nil &&
		options.Deferred != (deferred > 0) {
		value := 0
		if options.Deferred {
			value = 1 // a second: the system rounds up
		}
		set(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, value)
	}
	if options.FastOpen > 0 {
		set(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, options.FastOpen)
	}
}

// acceptQueue is the number of connections waiting for accept: for a listening socket, the kernel reports it in this
// field.
func acceptQueue(fd int) int {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return int(info.Unacked)
}
