package stream_test

import (
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"starling/conf"
	"starling/modules/stream/core"
	"starling/stream"
	"starling/stream/streamtest"
)

func TestProblems(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"stream { server { say x; } }", `no "listen" is defined for server in /test.conf:1`},
		{"stream { server { listen 127.0.0.1; say x; } }", `no port in "127.0.0.1" of the "listen" directive in /test.conf:1`},
		{"stream { server { listen 127.0.0.1:1 udp ssl; say x; } }", `"listen" directive "ssl" parameter is incompatible with "udp" in /test.conf:1`},
		{"stream { server { listen 127.0.0.1:1 setfib=1; say x; } }", `parameter "setfib=" is not supported by starling in /test.conf:1`},
		{"stream { server { listen 127.0.0.1:1 fast; say x; } }", `invalid parameter "fast" in /test.conf:1`},
		{"stream { server { listen 127.0.0.1:1 backlog=0; say x; } }", `invalid backlog "backlog=0" in /test.conf:1`},
		{"stream { server { listen 1; listen *:1; say x; } }", `a duplicate listen 0.0.0.0:1 in /test.conf:1`},
		{"stream {\n server { listen 1 default_server; say x; }\n server { listen 1 default_server; say x; } }",
			`a duplicate default server for 0.0.0.0:1 in /test.conf:3`},
		{"stream { server { listen 1; server_name *; say x; } }", `server name "*" is invalid in /test.conf:1`},
		{"stream { server { listen 1; server_name a.*.b; say x; } }", `invalid server name or wildcard "a.*.b" on 0.0.0.0:1 in /test.conf:1`},
		{"stream { server { listen 1; server_name ~; say x; } }", `empty regex in server name "~" in /test.conf:1`},
		{"stream { server { listen 1; say x; error_log x loud; } }", `invalid log level "loud" in /test.conf:1`},
		{"stream { server { listen 1; say x; error_log syslog:tag=x; } }", `no syslog server specified in /test.conf:1`},
		{"stream { resolver 127.0.0.1 ipv4=off ipv6=off; }", `"ipv4" and "ipv6" cannot both be "off" in /test.conf:1`},
		{"stream { resolver 127.0.0.1:x; }", `invalid port in resolver "127.0.0.1:x" in /test.conf:1`},
		{"stream { server { listen 1; proxy_pass x; } }", `"proxy_pass" is not supported by starling in /test.conf:1`},
	} {
		if got := streamtest.Problem(t, c.text, &core.Module, streamtest.Say()); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestLifeOfASite(t *testing.T) {
	s := streamtest.Start(t, "stream { server { listen 1; say hello hold; } server { listen 2; say detach hold detach; } }", nil,
		&core.Module, streamtest.Say())
	served, kept := s.Dial(0), s.Dial(1)
	for conn, want := range map[io.Reader]string{served: "hello", kept: "detach"} {
		buf := make([]byte, len(want))
		if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != want {
			t.Fatalf("got %q, %v", buf, err)
		}
	}
	s.Site.Retire()
	select {
	case <-s.Site.Drained():
		t.Error("drained while a session goes on")
	default:
	}
	served.Close()
	<-s.Site.Drained() // although the detached session goes on
	select {
	case <-s.Site.Emptied():
		t.Error("emptied while the detached session goes on")
	default:
	}
	kept.Close()
	<-s.Site.Emptied()
	if f := s.Plan.Connections.Figures(); f.Accepted != 2 || f.Active != 0 {
		t.Errorf("%+v", f)
	}
}

// TestRetireAwaitsWhoIsExpected: a connection accepted before, of which the site hears after it has retired, is served.
func TestRetireAwaitsWhoIsExpected(t *testing.T) {
	s := streamtest.Start(t, "stream { server { listen 1; say hello; } }", nil, &core.Module, streamtest.Say())
	port := s.Site.Ports()[0]
	port.Expect()
	port.Expect()
	s.Site.Retire()
	port.Unexpect()
	for name, c := range map[string]<-chan struct{}{"drained": s.Site.Drained(), "emptied": s.Site.Emptied()} {
		select {
		case <-c:
			t.Fatalf("%s while a connection is expected", name)
		default:
		}
	}
	near, far := net.Pipe()
	go port.ServeExpected(far)
	if got, err := io.ReadAll(near); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	<-s.Site.Drained()
	<-s.Site.Emptied()
}

// TestCloseEndsWhoComesLate: a site closed by force does not serve who was accepted before.
func TestCloseEndsWhoComesLate(t *testing.T) {
	s := streamtest.Start(t, "stream { server { listen 1; say hello hold; } }", nil, &core.Module, streamtest.Say())
	port := s.Site.Ports()[0]
	port.Expect()
	s.Site.Retire()
	s.Site.Close()
	near, far := net.Pipe()
	go port.ServeExpected(far)
	if got, err := io.ReadAll(near); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	<-s.Site.Drained()
}

func TestCloseEndsSessionsByForce(t *testing.T) {
	s := streamtest.Start(t, "stream { server { listen 1; say hello hold; } }", nil, &core.Module, streamtest.Say())
	conn := s.Dial(0)
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	s.Site.Retire()
	s.Site.Close()
	<-s.Site.Drained()
	if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("the client read %d bytes, %v", n, err)
	}
}

func TestAPanicEndsOneSession(t *testing.T) {
	s := streamtest.Start(t, "stream { server { listen 1; say x panic; } server { listen 2; say hello hold; } }", nil, &core.Module, streamtest.Say())
	if got := s.Ask(0); got != "" {
		t.Errorf("got %q", got)
	}
	if _, err := io.ReadFull(s.Dial(1), make([]byte, 5)); err != nil {
		t.Errorf("the others: %v", err)
	}
	alert := regexp.MustCompile(`^\[alert\] \*1 panic while serving a session: a mistake .*, client: 127\.0\.0\.1, server: 0\.0\.0\.0:1$`)
	lines := s.Log.Lines()
	if !slices.ContainsFunc(lines, func(l string) bool { return alert.MatchString(strings.ReplaceAll(l, "\n", " ")) }) {
		t.Errorf("no alert in %q", lines)
	}
}

// TestAtEndIsBeforeTheClientSeesIt: what a session has taken is given back before the client can come again.
func TestAtEndIsBeforeTheClientSeesIt(t *testing.T) {
	var ended atomic.Bool
	taking := &stream.Module{
		Module: conf.Module{Name: "take", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []stream.Hook{{Phase: stream.PreAccess, Build: func(*stream.Block) (stream.Handler, error) {
			return func(s *stream.Session) stream.Result {
				s.AtEnd(func() { ended.Store(true) })
				return stream.Declined
			}, nil
		}}},
	}
	s := streamtest.Start(t, "stream { server { listen 1; say hello; } }", nil, &core.Module, taking, streamtest.Say())
	for range 20 {
		ended.Store(false)
		if s.Ask(0); !ended.Load() {
			t.Fatal("the client saw the end first")
		}
	}
}

// TestStatusOfSessionsWithoutHeader: nginx calls it a bad request where the client spoke, and fine where it went or
// said nothing.
func TestStatusOfSessionsWithoutHeader(t *testing.T) {
	statuses := make(chan int, 1)
	account := &stream.Module{
		Module: conf.Module{Name: "account", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []stream.Hook{{Phase: stream.Log, Build: func(*stream.Block) (stream.Handler, error) {
			return func(s *stream.Session) stream.Result {
				statuses <- s.Status
				return stream.Declined
			}, nil
		}}},
	}
	s := streamtest.Start(t, `stream { server { listen 1 proxy_protocol; say hello; }
		server { listen 2 proxy_protocol; proxy_protocol_timeout 10ms; say hello; } }`, nil, &core.Module, account, streamtest.Say())
	for _, c := range []struct {
		what string
		port int
		does func(*net.TCPConn) error
		want int
	}{
		{"a header", 0, func(c *net.TCPConn) error { _, err := io.WriteString(c, "PROXY UNKNOWN\r\n"); return err }, 200},
		{"something else", 0, func(c *net.TCPConn) error { _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); return err }, 400},
		{"a bit of something else", 0, func(c *net.TCPConn) error { _, err := io.WriteString(c, "PROXY INVALID"); return err }, 400},
		{"nothing more", 0, (*net.TCPConn).CloseWrite, 400},
		{"a reset", 0, func(c *net.TCPConn) error { c.SetLinger(0); return c.Close() }, 200},
		{"nothing in time", 1, func(*net.TCPConn) error { return nil }, 200},
	} {
		if err := c.does(s.Dial(c.port).(*net.TCPConn)); err != nil {
			t.Fatal(err)
		}
		if got := <-statuses; got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

// As in nginx, a server needs no handler; the log tells what its clients get.
func TestAServerWithoutHandler(t *testing.T) {
	s := streamtest.Start(t, "stream { server { listen 127.0.0.1:1; } }", nil, &core.Module, streamtest.Say())
	if text, err := io.ReadAll(s.Dial(0)); len(text) > 0 {
		t.Errorf("%q, %v", text, err)
	}
	const want = "[warn] no handler for server: its sessions end with status 500 in /test.conf:1"
	if lines := s.Log.Lines(); !slices.Contains(lines, want) {
		t.Errorf("no %s in %q", want, lines)
	}
}
