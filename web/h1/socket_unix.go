//go:build unix

package h1

import (
	"io"
	"net"
	"os"
	"syscall"

	"starling/lib/sockio"
)

// socketOf returns the stream socket of a connection, nil if it is anything else.
func socketOf(conn any) syscall.RawConn {
	var raw syscall.RawConn
	var err error
	switch c := conn.(type) {
	case *net.TCPConn:
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		raw, err = c.SyscallConn()
	case interface {
		StreamSocket() (syscall.RawConn, error)
	}: // of upstream, for health checks
		raw, err = c.StreamSocket()
	}
	if err != nil {
		return nil
	}
	return raw
}

// tryRead reads the available bytes; if there are none, it returns the slab before the poller puts the goroutine to
// sleep.
func (b *Buffer) tryRead(fd uintptr) bool {
	b.makeRoom(minFreeBytes)
	for {
		n, err := sockio.Recv(fd, b.mem[b.w:])
		switch {
		case n > 0:
			b.w += n
			b.err = nil
			return true
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			b.dropSlab()
			return false
		case err != 0:
			b.err = os.NewSyscallError("read", err)
		default:
			b.err = io.EOF
		}
		b.dropSlab()
		return true
	}
}

// trySend sends the rest as far as there is room.
func (w *Writer) trySend(fd uintptr) bool {
	for {
		n, err := sockio.Send(fd, w.left)
		switch err {
		case 0:
			w.Bytes += int64(n)
			if w.left = w.left[n:]; len(w.left) == 0 {
				return true
			}
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			w.err = os.NewSyscallError("write", err)
			return true
		}
	}
}
