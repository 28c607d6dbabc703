package upstream

import (
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestBriefConnectionThatIsDone: a connection can be established, and the poller know it, before anybody waits for it.
func TestBriefConnectionThatIsDone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to := l.Addr().(*net.TCPAddr).AddrPort()
	family, address := socketAddress(to)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, address); err != nil && err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	b := &brief{File: os.NewFile(uintptr(fd), "socket"), remote: to}
	defer b.Close()
	for range 10 { // each of them sleeps in the poller
		c, err := net.Dial("tcp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		c.Read(make([]byte, 1))
		c.Close()
	}
	if err := b.finish(t.Context(), address, 10*time.Second); err != nil {
		t.Error(err)
	}
}
