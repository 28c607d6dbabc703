//go:build unix

package h1

import (
	"io"
	"os"
	"syscall"
)

const canTryRead = true

// tryRead reads what is there; if nothing is, it gives the block back before the poller puts the goroutine to sleep.
func (b *Buffer) tryRead(fd uintptr) bool {
	b.makeRoom(minFreeBytes)
	for {
		n, err := syscall.Read(int(fd), b.mem[b.w:])
		switch {
		case n > 0:
			b.w += n
			b.err = nil
			return true
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			b.dropBlock()
			return false
		case err != nil:
			b.err = os.NewSyscallError("read", err)
		default:
			b.err = io.EOF
		}
		b.dropBlock()
		return true
	}
}
