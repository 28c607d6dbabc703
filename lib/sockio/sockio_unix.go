//go:build unix && (!linux || race)

package sockio

import "syscall"

// Recv reads the available bytes into p, which must not be empty. EAGAIN means that there are none; 0 bytes mean the
// end.
func Recv(fd uintptr, p []byte) (n int, err syscall.Errno) {
	return result(syscall.Read(int(fd), p))
}

// Send writes as much of p as fits into the socket's buffer. EAGAIN means that nothing fits.
func Send(fd uintptr, p []byte) (n int, err syscall.Errno) {
	return result(syscall.Write(int(fd), p))
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
