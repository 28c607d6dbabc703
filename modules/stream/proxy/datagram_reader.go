package proxy

import (
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxDatagramBytes is more than any datagram over IP holds.
const maxDatagramBytes = 64 << 10

var datagramBuffers = sync.Pool{New: func() any {
	buf := make([]byte, maxDatagramBytes)
	return &buf
}}

// datagramReader reads the datagrams of a server. It takes a buffer only when there is a datagram, because thousands of
// sessions wait.
type datagramReader struct {
	raw    syscall.RawConn
	waits  bool // for a datagram, if there is none
	try    func(fd uintptr) bool
	once   func(fd uintptr)
	buffer *[]byte
	n      int
	failed error
}

// open creates a reader of a server's socket.
func (r *datagramReader) open(conn net.Conn) (err error) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return os.ErrInvalid // datagram connections are sockets
	}
	r.raw, err = socket.SyscallConn()
	r.try = r.receive
	r.once = func(fd uintptr) { r.receive(fd) }
	return err
}

// read reads a datagram. The buffer returns to datagramBuffers; it is nil if there is no datagram.
func (r *datagramReader) read() (buffer *[]byte, n int, err error) {
	if r.waits {
		err = r.raw.Read(r.try)
	} else {
		err = r.raw.Control(r.once)
	}
	if err != nil {
		return nil, 0, err
	}
	buffer, r.buffer = r.buffer, nil
	if buffer != nil && r.failed != nil {
		datagramBuffers.Put(buffer)
		return nil, 0, os.NewSyscallError("recvfrom", r.failed)
	}
	return buffer, r.n, nil
}

// receive is called when there may be something to read; false means that there is nothing.
func (r *datagramReader) receive(fd uintptr) bool {
	buffer := datagramBuffers.Get().(*[]byte)
	for {
		r.n, r.failed = unix.Read(int(fd), *buffer)
		switch r.failed {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			datagramBuffers.Put(buffer)
			return false
		}
		r.buffer = buffer
		return true
	}
}
