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

// datagramReader reads the datagrams of a server into buffers that it takes when there is one: thousands of sessions
// wait.
type datagramReader struct {
	raw    syscall.RawConn
	err    error // why there is no raw
	try    func(fd uintptr) bool
	buffer *[]byte
	n      int
	failed error
}

func newDatagramReader(conn net.Conn) *datagramReader {
	r := &datagramReader{}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		r.err = os.ErrInvalid // servers of datagrams are sockets
		return r
	}
	r.raw, r.err = socket.SyscallConn()
	r.try = r.receive
	return r
}

// read waits for a datagram. The buffer goes back to datagramBuffers.
func (r *datagramReader) read() (buffer *[]byte, n int, err error) {
	if r.err != nil {
		return nil, 0, r.err
	}
	if err := r.raw.Read(r.try); err != nil {
		return nil, 0, err
	}
	buffer, r.buffer = r.buffer, nil
	if r.failed != nil {
		datagramBuffers.Put(buffer)
		return nil, 0, os.NewSyscallError("recvfrom", r.failed)
	}
	return buffer, r.n, nil
}

// receive is called when there may be something to read; false waits on.
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
