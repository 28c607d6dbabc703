package upstream

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/lib/clock"
	"starling/lib/testkit"
)

// backend accepts connections and hands them to the test.
type backend struct {
	addr     Address
	accepted chan net.Conn
}

func listen(t testing.TB, network, address string) *backend {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	b := &backend{accepted: make(chan net.Conn, 100)}
	if network == "unix" {
		b.addr = Unix(address)
	} else {
		b.addr = TCP(l.Addr().(*net.TCPAddr).AddrPort())
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.accepted <- c
		}
	}()
	return b
}

type poolTest struct {
	t      *testing.T
	server *Server
	group  *Group
	pool   *Pool
	dialer Dialer
	far    *backend
}

func newPoolTest(t *testing.T, settings KeepAlive) *poolTest {
	c := clock.Real()
	p := &poolTest{t: t, far: listen(t, "tcp", "127.0.0.1:0"), dialer: Dialer{Timeout: 5 * time.Second, Clock: c}}
	p.group = NewGroup("u", turns{})
	s, err := p.group.Add(NewSettings(p.far.addr.Text, p.far.addr), c.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.server, p.pool = s, p.group.NewPool(settings, c)
	return p
}

func (p *poolTest) dial() (near *Conn, far net.Conn) {
	p.t.Helper()
	c, err := p.dialer.Dial(p.t.Context(), p.server)
	if err != nil {
		p.t.Fatal(err)
	}
	return c, <-p.far.accepted
}

// closed waits until the far end sees the end of the connection.
func closed(t *testing.T, far net.Conn) {
	t.Helper()
	if err := far.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection is not closed:", err)
	}
}

func TestPoolGivesTheLatestFirst(t *testing.T) {
	p := newPoolTest(t, DefaultKeepAlive())
	first, _ := p.dial()
	second, _ := p.dial()
	p.pool.Put(first, "loc")
	p.pool.Put(second, "loc")
	if n := p.pool.Idle(); n != 2 {
		t.Errorf("%d idle", n)
	}
	for _, want := range []*Conn{second, first, nil} {
		if got := p.pool.Get(p.server, "loc", false); got != want {
			t.Errorf("got %p, want %p", got, want)
		}
	}
	if !first.Reused {
		t.Error("not marked as used before")
	}
}

func TestPoolIsLocal(t *testing.T) {
	settings := DefaultKeepAlive()
	for _, local := range []bool{true, false} {
		settings.Local = local
		p := newPoolTest(t, settings)
		c, _ := p.dial()
		p.pool.Put(c, "one")
		if got := p.pool.Get(p.server, "other", false); (got == nil) != local {
			t.Errorf("local %v: another location got %v", local, got)
		}
	}
}

func TestPoolClosesTheOldest(t *testing.T) {
	settings := DefaultKeepAlive()
	settings.Connections = 2
	p := newPoolTest(t, settings)
	var far []net.Conn
	for range 3 {
		c, f := p.dial()
		far = append(far, f)
		defer p.pool.Put(c, "loc")
	}
	conns := make([]*Conn, 0, 3)
	for range 3 {
		c, f := p.dial()
		conns, far = append(conns, c), append(far, f)
	}
	for _, c := range conns {
		p.pool.Put(c, "loc")
	}
	if n := p.pool.Idle(); n != 2 {
		t.Errorf("%d idle", n)
	}
	closed(t, far[3])
}

func TestPoolRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		settings KeepAlive
		prepare  func(*poolTest, *Conn)
	}{
		"switched off":    {settings: KeepAlive{}},
		"enough requests": {DefaultKeepAlive(), func(_ *poolTest, c *Conn) { c.Requests = 1000 }},
		"too old":         {DefaultKeepAlive(), func(_ *poolTest, c *Conn) { c.openedMS -= time.Hour.Milliseconds() + 1 }},
		"pool closed":     {DefaultKeepAlive(), func(p *poolTest, _ *Conn) { p.pool.Close() }},
		"server removed": {DefaultKeepAlive(), func(p *poolTest, _ *Conn) {
			if err := p.group.Remove(0, start); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPoolTest(t, c.settings)
			near, far := p.dial()
			if c.prepare != nil {
				c.prepare(p, near)
			}
			p.pool.Put(near, "loc")
			if n := p.pool.Idle(); n != 0 {
				t.Errorf("%d idle", n)
			}
			closed(t, far)
		})
	}
}

func TestPoolTimeout(t *testing.T) {
	settings := DefaultKeepAlive()
	settings.Timeout = 20 * time.Millisecond
	p := newPoolTest(t, settings)
	for range 2 { // the timer works again after it has fired
		near, far := p.dial()
		p.pool.Put(near, "loc")
		closed(t, far)
		if n := p.pool.Idle(); n != 0 {
			t.Errorf("%d idle", n)
		}
	}
}

func TestRemovingAServerClosesItsIdleConnections(t *testing.T) {
	p := newPoolTest(t, DefaultKeepAlive())
	near, far := p.dial()
	p.pool.Put(near, "loc")
	if err := p.group.Remove(0, start); err != nil {
		t.Fatal(err)
	}
	closed(t, far)
}

func TestPoolFindsDeadConnections(t *testing.T) {
	for name, spoil := range map[string]func(net.Conn) error{
		"closed":   net.Conn.Close,
		"talkable": func(c net.Conn) error { _, err := c.Write([]byte("HTTP/1.1 408")); return err },
	} {
		p := newPoolTest(t, DefaultKeepAlive())
		near, far := p.dial()
		if !near.quiet() {
			t.Errorf("%s: a fresh connection is not quiet", name)
		}
		if err := spoil(far); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, time.Minute, func() error {
			if near.quiet() {
				return errors.New("not seen yet")
			}
			return nil
		})
		p.pool.Put(near, "loc")
		if got := p.pool.Get(p.server, "loc", true); got != nil {
			t.Errorf("%s: given out", name)
		}
	}
}

func TestQuietAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	p := newPoolTest(t, DefaultKeepAlive())
	near, _ := p.dial()
	if n := testing.AllocsPerRun(100, func() {
		p.pool.Put(near, "loc")
		if p.pool.Get(p.server, "loc", true) != near {
			t.Fatal("lost")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDial(t *testing.T) {
	path := filepath.Join(testkit.SocketDir(t), "s")
	for _, b := range []*backend{listen(t, "unix", path), listen(t, "tcp", "127.0.0.1:0")} {
		g := NewGroup("u", turns{})
		s, err := g.Add(NewSettings(b.addr.Text, b.addr), start)
		if err != nil {
			t.Fatal(err)
		}
		d := Dialer{Timeout: 5 * time.Second, Clock: clock.Real(), Bind: netip.MustParseAddrPort("127.0.0.9:0"), Probe: true}
		c, err := d.Dial(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		far := <-b.accepted
		if b.addr.Network == "tcp" && !strings.HasPrefix(far.RemoteAddr().String(), "127.0.0.9:") {
			t.Errorf("came from %v", far.RemoteAddr())
		}
		if _, err := far.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 2)); n != 1 || err != nil {
			t.Error(n, err)
		}
		c.Close()
	}
}

func TestDialErrors(t *testing.T) {
	dead := listen(t, "tcp", "127.0.0.1:0").addr
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedPort := TCP(l.Addr().(*net.TCPAddr).AddrPort())
	l.Close()
	for _, c := range []struct {
		addr     Address
		tls      *tls.Config
		timeout  time.Duration
		want     string
		timedOut bool
	}{
		{closedPort, nil, 5 * time.Second, "connect() failed (111: Connection refused) while connecting to upstream", false},
		{Unix("/nowhere/at/all"), nil, 5 * time.Second, "connect() failed (2: No such file or directory) while connecting to upstream", false},
		{dead, &tls.Config{InsecureSkipVerify: true}, time.Second, // long enough to connect on any machine
			"upstream timed out (110: Connection timed out) while SSL handshaking to upstream", true},
	} {
		g := NewGroup("u", turns{})
		s, err := g.Add(NewSettings("x", c.addr), start)
		if err != nil {
			t.Fatal(err)
		}
		d := Dialer{Timeout: c.timeout, TLS: c.tls, Clock: clock.Real()}
		_, err = d.Dial(t.Context(), s)
		var failure *DialError
		if !errors.As(err, &failure) || err.Error() != c.want || failure.TimedOut != c.timedOut {
			t.Errorf("%v: %v", c.addr.Text, err)
		}
	}
}

// TestDialTellsWhatToDoWithoutACommonProtocol: the alert alone does not say which protocol, or where it is asked for.
func TestDialTellsWhatToDoWithoutACommonProtocol(t *testing.T) {
	alert := "remote error: tls: no application protocol"
	for _, c := range []struct {
		err     string
		offered []string
		want    string
	}{
		{alert, []string{"h2"}, alert + ` (the server takes no ALPN protocol of "h2"; enable HTTP/2 there, or use proxy_pass with "proxy_http_version 1.1")`},
		{alert, []string{"a", "b"}, alert + ` (the server takes no ALPN protocol of "a b"; take one that it has into proxy_ssl_alpn)`},
		{alert, nil, alert},
		{"remote error: tls: bad certificate", []string{"h2"}, "remote error: tls: bad certificate"},
	} {
		if got := adviseProtocols(errors.New(c.err), c.offered); got.Error() != c.want {
			t.Errorf("%v: %v, want %s", c.offered, got, c.want)
		}
	}
}

func BenchmarkQuiet(b *testing.B) {
	far := listen(b, "tcp", "127.0.0.1:0")
	g := NewGroup("u", turns{})
	s, err := g.Add(NewSettings("x", far.addr), start)
	if err != nil {
		b.Fatal(err)
	}
	c := clock.Real()
	pool := g.NewPool(DefaultKeepAlive(), c)
	d := Dialer{Clock: c}
	near, err := d.Dial(b.Context(), s)
	if err != nil {
		b.Fatal(err)
	}
	for _, careful := range []bool{false, true} {
		b.Run(map[bool]string{false: "trusting", true: "careful"}[careful], func(b *testing.B) {
			for b.Loop() {
				pool.Put(near, "loc")
				pool.Get(s, "loc", careful)
			}
		})
	}
}
