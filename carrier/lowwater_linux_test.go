package carrier

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"starling/cluster/wire"
)

// dribbling is a connection whose writes can be held up.
type dribbling struct {
	net.Conn
	next *atomic.Pointer[hold]
}

// hold is one such write. It waits for begin, sends the start of its first frame, says what is missing of that, and
// waits for goOn.
type hold struct {
	held        chan struct{}
	begin, goOn chan struct{}
	missing     chan int
	over        chan struct{} // the test
}

func (h *hold) wait(c chan struct{}) {
	select {
	case <-c:
	case <-h.over:
	}
}

func (c dribbling) Write(p []byte) (int, error) {
	const first = wire.MinFrameBytes
	h := c.next.Swap(nil)
	if h == nil {
		return c.Conn.Write(p)
	}
	close(h.held)
	h.wait(h.begin)
	if n, err := c.Conn.Write(p[:first]); err != nil {
		return n, err
	}
	size, n := binary.Uvarint(p)
	h.missing <- n + int(size) - first
	h.wait(h.goOn)
	n, err := c.Conn.Write(p[first:])
	return first + n, err
}

// ask asks a socket.
func ask(socket net.Conn, what func(fd int) (int, error)) (n int, err error) {
	raw, err := socket.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { n, failed = what(int(fd)) })
	return n, errors.Join(err, failed)
}

func lowWaterOf(fd int) (int, error) {
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT)
}
func unreadOf(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.TIOCINQ) }

// answers waits until a socket answers with a number.
func answers(t *testing.T, sockets []net.Conn, what string, question func(int) (int, error), want int) (found net.Conn) {
	t.Helper()
	eventually(t, func() error {
		var all []int
		for _, socket := range sockets {
			n, err := ask(socket, question)
			if err == nil && n == want {
				found = socket
				return nil
			}
			all = append(all, n)
		}
		return fmt.Errorf("%s: %v, want %d", what, all, want)
	})
	return found
}

// TestAReaderIsWokenForFrames and not for each byte of a peer that dribbles, and never waits for more than comes.
func TestAReaderIsWokenForFrames(t *testing.T) {
	a, b := listen(t, 0), listen(t, 1)
	b.start(nil, nil)
	a.start(nil, nil)
	over := make(chan struct{})
	defer close(over)
	var next atomic.Pointer[hold]
	a.carrier.dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return dribbling{conn, &next}, err
	}
	together := a.config
	together.Members = []Member{b.member()}
	if err := a.carrier.Reload(together); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return a.online(1) })
	b.mu.Lock()
	accepted := b.conns // more than one where a dialled again meanwhile
	b.mu.Unlock()
	const water, unread = "bytes at which a reader is woken", "unread bytes"
	socket := []net.Conn{answers(t, accepted, water, lowWaterOf, wire.MinFrameBytes)}
	for i := range 3 {
		h := &hold{make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan int, 1), over}
		next.Store(h)
		key := fmt.Sprint("key", i)
		a.set(key, "value")
		<-h.held
		answers(t, socket, unread, unreadOf, 0)
		close(h.begin)
		answers(t, socket, water, lowWaterOf, <-h.missing)
		close(h.goOn)
		eventually(t, func() error { return b.has(key, "value") })
		answers(t, socket, water, lowWaterOf, wire.MinFrameBytes)
	}
}
