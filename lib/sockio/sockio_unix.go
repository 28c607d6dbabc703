//go:build unix && (!linux || race)

package sockio

import (
	"net/netip"
	"syscall"
)

// Recv reads the available bytes into p, which must not be empty. EAGAIN means that there are none; 0 bytes mean the
// end.
func Recv(fd uintptr, p []byte) (n int, err syscall.Errno) {
	return result(syscall.Read(int(fd), p))
}

// Send writes as much of p as fits into the socket's buffer. EAGAIN means that nothing fits.
func Send(fd uintptr, p []byte) (n int, err syscall.Errno) {
	return result(syscall.Write(int(fd), p))
}

// Connect begins to connect a TCP socket. EINPROGRESS means that it is not established yet.
func Connect(fd int, to netip.AddrPort) syscall.Errno {
	var address syscall.Sockaddr = &syscall.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	if ip := to.Addr(); ip.Is4() {
		address = &syscall.SockaddrInet4{Port: int(to.Port()), Addr: ip.As4()}
	}
	_, err := result(0, syscall.Connect(fd, address))
	return err
}

// Close closes a socket, which must not linger.
func Close(fd int) syscall.Errno {
	_, err := result(0, syscall.Close(fd))
	return err
}

func result(n int, err error) (int, syscall.Errno) {
	if err == nil {
		return n, 0
	}
	number, ok := err.(syscall.Errno)
	if !ok {
		number = syscall.EIO
	}
	return 0, number
}
