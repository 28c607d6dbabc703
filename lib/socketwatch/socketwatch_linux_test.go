package socketwatch_test

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"starling/lib/socketwatch"
	"starling/lib/testkit"
)

// pair is a TCP connection, as seen from both sides.
func pair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

func raw(t *testing.T, c *net.TCPConn) syscall.RawConn {
	t.Helper()
	r, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func start(t *testing.T) *socketwatch.Watcher {
	t.Helper()
	w, err := socketwatch.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// told waits for somebody to be told of, and gives the name.
func told(t *testing.T, names chan string) string {
	t.Helper()
	select {
	case name := <-names:
		return name
	case <-time.After(time.Minute):
		t.Fatal("nobody was told")
		return ""
	}
}

// TestTells: each way of going away is told of, and nothing else is.
func TestTells(t *testing.T) {
	for _, c := range []struct {
		name string
		does func(far *net.TCPConn) error
	}{
		{"closes", (*net.TCPConn).Close},
		{"sends no more", (*net.TCPConn).CloseWrite},
		{"resets", func(far *net.TCPConn) error { return errors.Join(far.SetLinger(0), far.Close()) }},
		{"sends and closes", func(far *net.TCPConn) error {
			_, err := far.Write([]byte("bye"))
			return errors.Join(err, far.Close())
		}},
	} {
		for _, before := range []bool{false, true} {
			w, names := start(t), make(chan string, 10)
			near, far := pair(t)
			stays, talks := pair(t)
			if before {
				if err := c.does(far); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.Hangup(raw(t, stays), func() { names <- "one that stays" }); err != nil {
				t.Fatal(err)
			}
			if _, err := talks.Write([]byte("bytes are no news")); err != nil {
				t.Fatal(err)
			}
			if _, err := stays.Read(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Hangup(raw(t, near), func() { names <- c.name }); err != nil {
				t.Fatal(err)
			}
			if !before {
				if err := c.does(far); err != nil {
					t.Fatal(err)
				}
			}
			if got := told(t, names); got != c.name {
				t.Errorf("%s, before %v: told of %s", c.name, before, got)
			}
			if err := w.Close(); err != nil { // its goroutine has ended
				t.Fatal(err)
			}
			if len(names) > 0 {
				t.Errorf("%s, before %v: told again, of %s", c.name, before, <-names)
			}
		}
	}
}

// TestRemoved: who was removed is not told, though the descriptor be used again.
func TestRemoved(t *testing.T) {
	w, names := start(t), make(chan string, 10)
	near, far := pair(t)
	id, err := w.Hangup(raw(t, near), func() { names <- "removed" })
	if err != nil {
		t.Fatal(err)
	}
	w.Remove(id)
	far.Close()
	near.Close()
	near, far = pair(t)
	if _, err := w.Hangup(raw(t, near), func() { names <- "next" }); err != nil {
		t.Fatal(err)
	}
	far.Close()
	if got := told(t, names); got != "next" {
		t.Errorf("told of %s", got)
	}
}

// TestMany: more leave at once than the system tells of at once.
func TestMany(t *testing.T) {
	w, names := start(t), make(chan string, 1000)
	const count = 300
	var fars []*net.TCPConn
	all := make(chan struct{}) // the first to be told waits until all have left
	for range count {
		near, far := pair(t)
		if _, err := w.Hangup(raw(t, near), func() { <-all; names <- "left" }); err != nil {
			t.Fatal(err)
		}
		fars = append(fars, far)
	}
	for _, far := range fars {
		far.Close()
	}
	close(all)
	testkit.Eventually(t, time.Minute, func() error {
		if len(names) < count {
			return errors.New("not all were told of")
		}
		return nil
	})
}

func TestErrors(t *testing.T) {
	w := start(t)
	near, _ := pair(t)
	connection := raw(t, near)
	near.Close()
	if _, err := w.Hangup(connection, func() {}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed socket: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	near, _ = pair(t)
	if _, err := w.Hangup(raw(t, near), func() {}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed watcher: %v", err)
	}
}

// closing is a socket that closes a watcher and starts another before it gives its descriptor.
type closing struct {
	syscall.RawConn
	before func()
}

func (c closing) Control(f func(fd uintptr)) error {
	c.before()
	return c.RawConn.Control(f)
}

// TestClosedMeanwhile: a socket does not get to the watcher that has the descriptor of one closed.
func TestClosedMeanwhile(t *testing.T) {
	w, names := start(t), make(chan string, 10)
	near, far := pair(t)
	other, _ := pair(t)
	var next *socketwatch.Watcher
	socket := closing{raw(t, near), func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		next = start(t)
		if _, err := next.Hangup(raw(t, other), func() { names <- "who is there" }); err != nil {
			t.Error(err)
		}
	}}
	if _, err := w.Hangup(socket, func() { names <- "of the closed one" }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a watcher closed meanwhile: %v", err)
	}
	far.Close()
	last, leaves := pair(t)
	if _, err := next.Hangup(raw(t, last), func() { names <- "last" }); err != nil {
		t.Fatal(err)
	}
	leaves.Close()
	if got := told(t, names); got != "last" {
		t.Errorf("told of %s", got)
	}
}

// TestArrivals: each thing to read is told of, also what came before, and an error; nothing is told of what was removed.
func TestArrivals(t *testing.T) {
	w, names := start(t), make(chan string, 10)
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	client := func(name string) (conn *net.UDPConn, id uint64) {
		conn, err := net.DialUDP("udp4", nil, server.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		socket, err := conn.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if name == "late" {
			answer(t, server, conn)
		}
		if id, err = w.Arrivals(socket, func() { names <- name }); err != nil {
			t.Fatal(err)
		}
		return conn, id
	}
	early, _ := client("early")
	removed, id := client("removed")
	w.Remove(id)
	for range 3 {
		answer(t, server, removed)
		answer(t, server, early)
		if got := told(t, names); got != "early" {
			t.Errorf("told of %s", got)
		}
		if _, err := early.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	client("late")
	if got := told(t, names); got != "late" {
		t.Errorf("told of %s", got)
	}
	server.Close()
	if _, err := early.Write([]byte("x")); err != nil { // an ICMP message answers
		t.Fatal(err)
	}
	if got := told(t, names); got != "early" {
		t.Errorf("told of %s", got)
	}
}

// answer has a server send a datagram to its client.
func answer(t *testing.T, server, client *net.UDPConn) {
	t.Helper()
	if _, err := server.WriteTo([]byte("x"), client.LocalAddr()); err != nil {
		t.Fatal(err)
	}
}

// TestLazy: a watcher is made at first use, not after the end.
func TestLazy(t *testing.T) {
	failed := func(err error) { t.Error(err) }
	var used, unused socketwatch.Lazy
	if w := used.Get(failed); w == nil || used.Get(failed) != w {
		t.Error("no watcher, or another one each time")
	}
	for _, l := range []*socketwatch.Lazy{&used, &unused} {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if unused.Get(failed) != nil {
		t.Error("a watcher after the end")
	}
}
