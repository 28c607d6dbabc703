package packets

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

const patience = time.Minute

func bind(network, address string) (*Listener, error) {
	addr, err := net.ResolveUDPAddr(network, address)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP(network, addr)
	if err != nil {
		return nil, err
	}
	return Listen(socket)
}

func listen(t *testing.T, address string) *Listener {
	t.Helper()
	l, err := bind("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func client(t *testing.T, to string) net.Conn {
	t.Helper()
	c, err := net.Dial("udp4", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c net.Conn) string {
	t.Helper()
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestASessionPerClient(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	one, two := client(t, l.Addr().String()), client(t, l.Addr().String())
	send(t, one, "a")
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	send(t, two, "b")
	second, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	send(t, one, "c")
	send(t, one, "")
	for _, c := range []struct {
		session net.Conn
		want    string
	}{{first, "a"}, {second, "b"}, {first, "c"}, {first, ""}} {
		if got := read(t, c.session); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	send(t, second, "to two")
	if got := read(t, two); got != "to two" {
		t.Errorf("got %q", got)
	}
	if first.RemoteAddr().String() != one.LocalAddr().String() || first.LocalAddr().String() != l.Addr().String() {
		t.Errorf("addresses %v %v", first.RemoteAddr(), first.LocalAddr())
	}
}

func TestForgottenAndClosedSessionsBeginAnew(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	c := client(t, l.Addr().String())
	for _, end := range []func(*Conn) error{
		func(s *Conn) error { s.Forget(); return nil },
		(*Conn).Close,
	} {
		send(t, c, "x")
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		read(t, s)
		if err := end(s.(*Conn)); err != nil {
			t.Error(err)
		}
	}
	if n := l.waiting.Load(); n != 0 || len(l.sessions) != 0 {
		t.Errorf("%d bytes wait in %d sessions", n, len(l.sessions))
	}
}

// TestAnUnreadSessionIsNotBegunAgain: a server that answers without reading must not answer for ever.
func TestAnUnreadSessionIsNotBegunAgain(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	k := key{remote: l.Addr().(*net.UDPAddr).AddrPort()}
	for _, text := range []string{"first", "second"} {
		l.deliver(k, []byte(text))
	}
	for range 2 { // one session each, although neither is read
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	if n := len(l.accepted); n != 0 || len(l.sessions) != 0 || l.waiting.Load() != 0 {
		t.Errorf("%d more sessions, %d known, %d bytes wait", n, len(l.sessions), l.waiting.Load())
	}
}

func TestDeadlinesAndTheEnd(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	c := client(t, l.Addr().String())
	send(t, c, "x")
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	read(t, s)
	ended := make(chan error)
	go func() {
		_, err := s.Read(nil)
		ended <- err
	}()
	s.SetReadDeadline(time.Unix(1, 0)) // while it is waited for
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	s.SetReadDeadline(time.Time{})
	go func() {
		_, err := s.Read(nil)
		ended <- err
	}()
	s.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestQueuesAreBounded(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	k := key{remote: l.Addr().(*net.UDPAddr).AddrPort()}
	for range maxWaiting + 5 {
		l.deliver(k, []byte("x"))
	}
	if n := l.Dropped(); n != 5 {
		t.Errorf("%d dropped", n)
	}
	l.waiting.Store(maxWaitingBytes)
	l.deliver(key{local: k.remote.Addr()}, []byte("x"))
	if n := l.Dropped(); n != 6 {
		t.Errorf("%d dropped", n)
	}
}

// hasIPv6 tells whether this machine has an address of that family, which a container often has not.
func hasIPv6() bool {
	socket, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		return false
	}
	socket.Close()
	return true
}

func TestWildcardAnswersFromTheAddressThatWasAsked(t *testing.T) {
	for _, c := range []struct{ network, listen, host string }{
		{"udp4", "0.0.0.0:0", "127.0.0.2"},
		{"udp", "[::]:0", "127.0.0.2"}, // IPv4 over a socket of both
		{"udp", "[::]:0", "::1"},
	} {
		if c.listen == "[::]:0" && !hasIPv6() {
			t.Skip("no IPv6 here")
		}
		l, err := bind(c.network, c.listen)
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		asked := net.JoinHostPort(c.host, port)
		conn, err := net.Dial("udp", asked) // a connected socket hears only from there
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		send(t, conn, "x")
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := s.LocalAddr().String(); got != asked {
			t.Errorf("asked %s, heard of %s", asked, got)
		}
		send(t, s, "y")
		if got := read(t, conn); got != "y" {
			t.Errorf("got %q", got)
		}
		conn.Close()
		l.Close()
	}
}

// hearing is a Receiver that counts.
type hearing struct{ arrived, closed atomic.Int32 }

func (h *hearing) Arrived() { h.arrived.Add(1) }
func (h *hearing) Closed()  { h.closed.Add(1) }

func (h *hearing) want(t *testing.T, what string, arrived, closed int32) {
	t.Helper()
	if a, c := h.arrived.Load(), h.closed.Load(); a != arrived || c != closed {
		t.Errorf("%s: told of %d arrivals and %d ends, not %d and %d", what, a, c, arrived, closed)
	}
}

// TestAReceiverHearsOfASession that nobody waits for.
func TestAReceiverHearsOfASession(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	for n, end := range []func(c *Conn){
		func(c *Conn) { c.Close() },
		func(*Conn) { l.Close() },
	} {
		k := key{remote: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(1000+n))}
		l.deliver(k, []byte("first"))
		c := sessions(t, l)[0].(*Conn)
		h := &hearing{}
		c.Attend(h)
		h.want(t, "what came before", 1, 0)
		l.deliver(k, nil) // an empty datagram is one too
		h.want(t, "a datagram", 2, 0)
		for _, want := range []string{"first", ""} {
			if data, ok, err := c.Poll(); string(data) != want || !ok || err != nil {
				t.Errorf("%q, %v, %v", data, ok, err)
			}
		}
		if data, ok, err := c.Poll(); data != nil || ok || err != nil || c.Waits() {
			t.Errorf("where nothing waits: %q, %v, %v", data, ok, err)
		}
		c.Forget() // it hears of its end even so
		end(c)
		h.want(t, "the end", 2, 1)
		if _, _, err := c.Poll(); !errors.Is(err, net.ErrClosed) || !c.Waits() {
			t.Error(err)
		}
		late := &hearing{}
		c.Attend(late)
		late.want(t, "afterwards", 0, 1)
		c.Close()
	}
}
