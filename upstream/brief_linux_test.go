package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"starling/lib/clock"
	"starling/lib/testkit"
	"starling/upstream"
)

// briefly connects as a health check does.
func briefly(ctx context.Context, t *testing.T, to upstream.Address, timeout time.Duration) (*upstream.Conn, error) {
	t.Helper()
	d := upstream.Dialer{Brief: true, Timeout: timeout, Clock: clock.Real()}
	c, err := d.DialAt(ctx, nil, to)
	if err == nil {
		t.Cleanup(func() { c.Close() })
		if _, usual := c.Conn.(*net.TCPConn); usual {
			t.Error("the connection is one of net")
		}
	}
	return c, err
}

// TestBriefConnections carry data in both directions, have deadlines and addresses, and see the end.
func TestBriefConnections(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("not tested: %v", err) // a host without IPv6
			continue
		}
		defer l.Close()
		to := upstream.TCP(l.Addr().(*net.TCPAddr).AddrPort())
		c, err := briefly(t.Context(), t, to, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		if c.LocalAddr().String() != far.RemoteAddr().String() || c.RemoteAddr().String() != far.LocalAddr().String() {
			t.Errorf("from %v to %v, the server sees %v and %v", c.LocalAddr(), c.RemoteAddr(), far.RemoteAddr(), far.LocalAddr())
		}
		io.WriteString(c, "ping")
		if _, err := io.ReadFull(far, make([]byte, 4)); err != nil {
			t.Error(err)
		}
		c.SetReadDeadline(time.Now())
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a read after the deadline: %v", err)
		}
		if !c.Alive() {
			t.Error("an open connection is not alive")
		}
		c.SetReadDeadline(time.Time{})
		io.WriteString(far, "pong")
		far.Close()
		if got, err := io.ReadAll(c); string(got) != "pong" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if c.Alive() {
			t.Error("a closed connection is alive")
		}
	}
}

// TestBriefFailures have the errors of other connections.
func TestBriefFailures(t *testing.T) {
	silent := fullListener(t)
	ended, end := context.WithCancel(t.Context())
	end()
	for _, test := range []struct {
		name    string
		ctx     context.Context
		to      upstream.Address
		timeout time.Duration
		want    string
	}{
		{"nobody listens", t.Context(), closed(t), time.Minute, "connect() failed (111: Connection refused) while connecting to upstream"},
		{"no answer", t.Context(), silent, time.Millisecond, "upstream timed out (110: Connection timed out) while connecting to upstream"},
		{"no answer until the end of the check", ended, silent, time.Minute, "connect() failed (context canceled) while connecting to upstream"},
		{"no route", t.Context(), upstream.TCP(netip.MustParseAddrPort("255.255.255.255:80")), time.Minute, "connect() failed ("},
	} {
		if _, err := briefly(test.ctx, t, test.to, test.timeout); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
}

// closed is an address on which nobody listens.
func closed(t *testing.T) upstream.Address {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return upstream.TCP(l.Addr().(*net.TCPAddr).AddrPort())
}

// fullListener is an address that answers no connect: its queue is full and nobody accepts.
func fullListener(t *testing.T) upstream.Address {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(at.(*unix.SockaddrInet4).Port))
	c, err := net.DialTimeout("tcp", to.String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	testkit.Eventually(t, time.Minute, func() error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.Unacked <= info.Sacked { // of a listener: how many wait, and how many may
			err = fmt.Errorf("%d connections in the queue", info.Unacked)
		}
		return err
	})
	return upstream.TCP(to)
}

// TestBriefSelfConnect: a connect to a free port of this host can meet itself, which is no server.
func TestBriefSelfConnect(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock it: the thread ends with its network
		if !enterNetwork(t, "40000 40001") {
			return
		}
		_, err := briefly(t.Context(), t, upstream.TCP(netip.MustParseAddrPort("127.0.0.1:40000")), time.Minute)
		const want = "connect() failed (111: Connection refused) while connecting to upstream"
		if err == nil || err.Error() != want {
			t.Errorf("connected to itself: %v", err)
		}
	}()
	<-done
}
