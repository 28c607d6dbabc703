package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"starling/lib/clock"
	"starling/lib/testkit"
	"starling/upstream"
)

// quickly begins to connect as a health check does.
func quickly(t *testing.T, to upstream.Address) *upstream.Quick {
	t.Helper()
	d := upstream.Dialer{Clock: clock.Real()}
	q := new(upstream.Quick)
	if began, err := d.Quick(q, to); err != nil || !began {
		t.Fatalf("began %v: %v", began, err)
	}
	return q
}

// listen returns a listener and its address.
func listen(t *testing.T, address string) (net.Listener, upstream.Address) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip(err) // a host without IPv6
	}
	t.Cleanup(func() { l.Close() })
	return l, upstream.TCP(l.Addr().(*net.TCPAddr).AddrPort())
}

// accepted sends a request and returns the end of the server.
func accepted(t *testing.T, q *upstream.Quick, l net.Listener) net.Conn {
	t.Helper()
	if _, err := io.WriteString(q, "ping"); err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	testkit.Eventually(t, time.Minute, func() error {
		if sent, err := q.Flush(); !sent {
			return fmt.Errorf("not sent: %v", err)
		}
		return nil
	})
	got := make([]byte, 4)
	if _, err := io.ReadFull(far, got); err != nil || string(got) != "ping" {
		t.Errorf("the server got %q, %v", got, err)
	}
	return far
}

// received looks until something has arrived.
func received(t *testing.T, q *upstream.Quick, want string) {
	t.Helper()
	mem := make([]byte, 100)
	testkit.Eventually(t, time.Minute, func() error {
		if got, news := q.Receive(mem); !news || string(got) != want {
			q.Keep()
			return fmt.Errorf("received %q, %v", got, news)
		}
		return nil
	})
}

// TestQuick: nothing waits, and what was received stays for the next look.
func TestQuick(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			l, to := listen(t, address)
			q := quickly(t, to)
			defer q.Close()
			far := accepted(t, q, l)
			if q.LocalAddr().String() != far.RemoteAddr().String() || q.RemoteAddr().String() != far.LocalAddr().String() {
				t.Errorf("from %v to %v, the server sees %v and %v", q.LocalAddr(), q.RemoteAddr(), far.RemoteAddr(), far.LocalAddr())
			}
			if got, news := q.Receive(make([]byte, 10)); news {
				t.Errorf("received %q", got)
			}
			io.WriteString(far, "po")
			received(t, q, "po")
			if n, err := q.Read(make([]byte, 10)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !q.Starved {
				t.Errorf("nothing more: %d, %v, starved %v", n, err, q.Starved)
			}
			q.Keep()
			io.WriteString(far, "ng")
			far.Close()
			received(t, q, "po")
			if q.Starved {
				t.Error("starved before a read")
			}
			rest, err := io.ReadAll(q)
			for errors.Is(err, os.ErrDeadlineExceeded) {
				var more []byte
				more, err = io.ReadAll(q)
				rest = append(rest, more...)
			}
			if string(rest) != "ng" || err != nil || string(q.Got()) != "pong" {
				t.Errorf("the rest is %q, %v; all is %q", rest, err, q.Got())
			}
		})
	}
}

// TestQuickIsBounded: what is long is for a goroutine.
func TestQuickIsBounded(t *testing.T) {
	l, to := listen(t, "127.0.0.1:0")
	q := quickly(t, to)
	defer q.Close()
	far := accepted(t, q, l)
	io.WriteString(far, strings.Repeat("x", 20<<10))
	received(t, q, strings.Repeat("x", 100))
	p := make([]byte, 1<<10)
	testkit.Eventually(t, time.Minute, func() error {
		for {
			if _, err := q.Read(p); err != nil {
				break
			}
		}
		if len(q.Got()) < 16<<10 {
			return fmt.Errorf("%d bytes", len(q.Got()))
		}
		return nil
	})
	if n := len(q.Got()); n >= 18<<10 || !q.Starved {
		t.Errorf("received %d bytes, starved %v", n, q.Starved)
	}
}

// TestQuickWaits: a goroutine goes on where the looks have ended.
func TestQuickWaits(t *testing.T) {
	l, to := listen(t, "127.0.0.1:0")
	q := quickly(t, to)
	far := accepted(t, q, l)
	io.WriteString(far, "po")
	received(t, q, "po")
	q.Keep()
	c, err := q.Wait(t.Context(), nil, time.Minute, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		io.WriteString(far, "ng")
		far.Close()
	}()
	if rest, err := io.ReadAll(c); string(rest) != "ng" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	if string(q.Got()) != "po" {
		t.Errorf("before it: %q", q.Got())
	}
}

// TestQuickFailures have the errors of other connections, at once or when a goroutine waits.
func TestQuickFailures(t *testing.T) {
	d := upstream.Dialer{Clock: clock.Real()}
	_, err := d.Quick(new(upstream.Quick), upstream.TCP(netip.MustParseAddrPort("255.255.255.255:80")))
	if err == nil || !strings.HasPrefix(err.Error(), "connect() failed (") {
		t.Errorf("no route: %v", err)
	}

	q := quickly(t, closed(t))
	defer q.Close()
	_, err = io.WriteString(q, "ping")
	for err == nil {
		_, err = q.Flush()
	}
	if want := "connect() failed (111: Connection refused) while connecting to upstream"; err.Error() != want {
		t.Errorf("nobody listens: %v", err)
	}

	silent := fullListener(t)
	ended, end := context.WithCancel(t.Context())
	end()
	for _, test := range []struct {
		ctx     context.Context
		timeout time.Duration
		want    string
	}{
		{t.Context(), time.Millisecond, "upstream timed out (110: Connection timed out) while connecting to upstream"},
		{ended, time.Minute, "connect() failed (context canceled) while connecting to upstream"},
	} {
		q := quickly(t, silent)
		if n, err := io.WriteString(q, "ping"); n != 4 || err != nil {
			t.Errorf("before it is established: %d, %v", n, err)
		}
		if sent, err := q.Flush(); sent || err != nil {
			t.Errorf("sent %v, %v", sent, err)
		}
		if _, err := q.Wait(test.ctx, nil, test.timeout, time.Minute); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

// TestNotQuick: these connections need DialAt.
func TestNotQuick(t *testing.T) {
	to := upstream.TCP(netip.MustParseAddrPort("127.0.0.1:80"))
	for name, d := range map[string]upstream.Dialer{
		"preface":   {Preface: []byte("PROXY")},
		"keepalive": {Probe: true},
		"bind":      {Bind: netip.MustParseAddrPort("127.0.0.1:0")},
	} {
		if began, err := d.Quick(new(upstream.Quick), to); began || err != nil {
			t.Errorf("%s: %v, %v", name, began, err)
		}
	}
	var d upstream.Dialer
	if began, err := d.Quick(new(upstream.Quick), upstream.Address{Network: "unix", Path: "/x"}); began || err != nil {
		t.Errorf("unix: %v, %v", began, err)
	}
}
