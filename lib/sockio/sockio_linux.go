//go:build linux && !race

package sockio

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"
)

// Recv reads the available bytes into p, which must not be empty. EAGAIN means that there are none; 0 bytes mean the
// end.
func Recv(fd uintptr, p []byte) (n int, err syscall.Errno) {
	r, _, err := syscall.RawSyscall6(
		syscall.SYS_RECVFROM,
		fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)),
		syscall.MSG_DONTWAIT,
		0,
		0,
	)
	if err != 0 {
		return 0, err
	}
	return int(r), 0
}

// Send writes as much of p as fits into the socket's buffer. EAGAIN means that nothing fits.
func Send(fd uintptr, p []byte) (n int, err syscall.Errno) {
	r, _, err := syscall.RawSyscall6(
		syscall.SYS_SENDTO,
		fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)),
		syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL,
		0,
		0,
	)
	if err != 0 {
		return 0, err
	}
	return int(r), 0
}

// Connect begins to connect a TCP socket. EINPROGRESS means that it is not established yet.
func Connect(fd int, to netip.AddrPort) syscall.Errno {
	var port [2]byte
	binary.BigEndian.PutUint16(port[:], to.Port())
	if ip := to.Addr(); ip.Is4() {
		address := syscall.RawSockaddrInet4{
			Family: syscall.AF_INET, Port: binary.NativeEndian.Uint16(port[:]), Addr: ip.As4(),
		}
		_, _, err := syscall.RawSyscall(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&address)),
			unsafe.Sizeof(address))
		return err
	}
	address := syscall.RawSockaddrInet6{
		Family: syscall.AF_INET6, Port: binary.NativeEndian.Uint16(port[:]), Addr: to.Addr().As16(),
	}
	_, _, err := syscall.RawSyscall(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&address)),
		unsafe.Sizeof(address))
	return err
}

// Close closes a socket, which must not linger.
func Close(fd int) syscall.Errno {
	_, _, err := syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0)
	return err
}
