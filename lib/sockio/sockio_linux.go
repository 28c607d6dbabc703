//go:build linux && !race

package sockio

import (
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
