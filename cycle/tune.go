package cycle

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"starling/nginx/sockaddr"
)

// beforeBind sets the options that must be set before binding.
func beforeBind(options sockaddr.Options) func(network, address string, raw syscall.RawConn) error {
	if !options.ReusePort {
		return nil
	}
	return func(_, _ string, raw syscall.RawConn) error {
		var failed error
		if err := raw.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}); err != nil {
			return err
		}
		return failed
	}
}

// tuneDatagrams sets the buffers of a UDP socket.
func tuneDatagrams(socket *net.UDPConn, options sockaddr.Options) (err error) {
	if options.ReceiveBytes > 0 {
		err = socket.SetReadBuffer(options.ReceiveBytes)
	}
	if options.SendBytes > 0 {
		err = errors.Join(err, socket.SetWriteBuffer(options.SendBytes))
	}
	return err
}

// tune sets the options of a listening socket, which accepted connections inherit. It can be called again with others.
func tune(socket net.Listener, options sockaddr.Options) error {
	raw, err := socket.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var errs []error
	set := func(fd, level, option, value int) {
		if err := unix.SetsockoptInt(fd, level, option, value); err != nil {
			errs = append(errs, err)
		}
	}
	_, tcp := socket.(*net.TCPListener)
	err = raw.Control(func(fd uintptr) {
		if options.ReceiveBytes > 0 {
			set(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, options.ReceiveBytes)
		}
		if options.SendBytes > 0 {
			set(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, options.SendBytes)
		}
		if tcp {
			setTCP(int(fd), options, set)
		}
		// On Linux, listening again changes the length of the queue: Go always uses the system's maximum.
		if err := unix.Listen(int(fd), options.Backlog); err != nil {
			errs = append(errs, err)
		}
	})
	return errors.Join(append(errs, err)...)
}
