package web_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/testkit"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// closedAfter tells how long after now the server closes the connection, in the time of the bubble.
func closedAfter(t *testing.T, c *webtest.Client) time.Duration {
	t.Helper()
	began := time.Now()
	c.Conn.SetReadDeadline(began.Add(time.Hour))
	rest, err := io.ReadAll(c.Conn)
	if err != nil || len(rest) > 0 {
		t.Fatalf("got %q, %v", rest, err)
	}
	return time.Since(began)
}

// within checks a timeout, which may come up to a second (or a quarter of itself) late.
func within(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+min(time.Second, want/4) {
		t.Errorf("%s: closed after %v, want %v", what, got, want)
	}
}

func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, `
client_header_timeout 10s;
client_body_timeout 20s;
keepalive_timeout 30s;
server { say ok; location /read { read; } location /slow { delay_ms 5000; } }`)
		silent := s.Client()
		within(t, "no request", closedAfter(t, silent), 10*time.Second)

		half := s.Client()
		half.Write("GET / HTTP/1.1\r\nHo")
		within(t, "half a head", closedAfter(t, half), 10*time.Second)

		kept := s.Client()
		kept.Do("GET /" + request11 + "\r\n")
		within(t, "an idle connection", closedAfter(t, kept), 30*time.Second)

		body := s.Client()
		body.Write("POST /read" + request11 + "Content-Length: 10\r\n\r\nhalf")
		within(t, "half a body", closedAfter(t, body), 20*time.Second)

		slow := s.Client()
		began := time.Now()
		if r := slow.Do("GET /slow" + request11 + "\r\n"); r.Text != "waited" {
			t.Errorf("got %q", r.Text)
		}
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("a delay of 5 s took %v", d)
		}
		within(t, "an idle connection after a delay", closedAfter(t, slow), 30*time.Second)
	})
}

func TestAClientThatDoesNotReadIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, `send_timeout 10s; server { say "a response that nobody reads"; }`)
		conn := s.Dial()
		if _, err := io.WriteString(conn, "GET /"+request11+"\r\n"); err != nil {
			t.Fatal(err)
		}
		testkit.Pass(15 * time.Second)
		if log := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(log, "client timed out (110: Connection timed out) while sending to client") {
			t.Errorf("the log: %s", log)
		}
	})
}

func TestADelayEndsWhenTheClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan struct{}, 1)
		s := webtest.Start(t, []*web.Module{&core.Module, probe(left)}, `server { delay_ms 60000; }`)
		conn := s.Dial()
		io.WriteString(conn, "GET /"+request11+"\r\n")
		synctest.Wait()
		began := time.Now()
		conn.Close()
		<-left
		if d := time.Since(began); d > time.Second {
			t.Errorf("noticed after %v", d)
		}
	})
}

func TestRetire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		holding := make(chan struct{})
		s := webtest.Start(t, []*web.Module{&core.Module, probe(holding)}, `server { say ok; location /hold { hold; } }`)
		idle, busy, fresh := s.Client(), s.Client(), s.Client()
		idle.Do("GET /" + request11 + "\r\n")
		busy.Write("GET /hold" + request11 + "\r\n")
		<-holding
		synctest.Wait()
		began := time.Now()
		s.Site.Retire()
		idle.Closed()
		if d := time.Since(began); d != 100*time.Millisecond { // virtual; a request on its way would have been answered
			t.Errorf("the idle connection was closed after %v", d)
		}
		// A connection that was accepted just before still gets its first answer.
		if r := fresh.Do("GET /" + request11 + "\r\n"); r.Text != "ok" || !r.Close {
			t.Errorf("got %v", r.Response)
		}
		select {
		case <-s.Site.Drained():
			t.Error("drained while a request is in progress")
		default:
		}
		holding <- struct{}{}
		if r := busy.Read("GET"); r.Text != "held" || !r.Close {
			t.Errorf("got %v", r.Response)
		}
		<-s.Site.Drained()
	})
}

// TestRetireWaitsForKeptConnections: keepalive_min_timeout counts from the last request on, but never beyond
// keepalive_timeout.
func TestRetireWaitsForKeptConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, `server { keepalive_timeout 60s; location / { keepalive_min_timeout 10s; say ok; }
			location /short { keepalive_min_timeout 70s; keepalive_timeout 5s; say ok; }
			location /none { say ok; } }`)
		ask := func(c *webtest.Client, target string) {
			t.Helper()
			if r := c.Do("GET " + target + request11 + "\r\n"); r.Text != "ok" || r.Close {
				t.Errorf("got %v", r.Response)
			}
		}
		closed := func(c *webtest.Client, after time.Duration) {
			t.Helper()
			began := time.Now()
			c.Closed()
			if d := time.Since(began); d != after { // virtual
				t.Errorf("closed after %v, want %v", d, after)
			}
		}
		kept, short, none := s.Client(), s.Client(), s.Client()
		ask(kept, "/")
		ask(short, "/short")
		ask(none, "/")
		ask(none, "/none") // the last request decides
		testkit.Pass(3 * time.Second)
		s.Site.Retire()
		closed(none, 100*time.Millisecond)
		closed(short, 1900*time.Millisecond)
		ask(kept, "/") // after 5 s, so that it is kept for another 10 s
		closed(kept, 10*time.Second)
		<-s.Site.Drained()
	})
}

// TestRetireAwaitsWhoIsExpected: a connection accepted before, of which the site hears after it has retired, is served.
func TestRetireAwaitsWhoIsExpected(t *testing.T) {
	s := start(t, `server { say ok; }`)
	port := s.Site.Ports()[0]
	port.Expect()
	port.Expect()
	s.Site.Retire()
	port.Unexpect()
	select {
	case <-s.Site.Drained():
		t.Fatal("drained while a connection is expected")
	default:
	}
	near, far := net.Pipe()
	go port.ServeExpected(far)
	go io.WriteString(near, "GET /"+request11+"\r\n")
	if answer, err := io.ReadAll(near); err != nil || !strings.HasSuffix(string(answer), "ok") {
		t.Errorf("%q, %v", answer, err)
	}
	<-s.Site.Drained()
}

// TestRetireAnswersWhatIsOnItsWay: a client that was told that its connection goes on asks once more.
func TestRetireAnswersWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, `server { say ok; }`)
		c := s.Client()
		c.Do("GET /" + request11 + "\r\n")
		synctest.Wait()
		s.Site.Retire()
		testkit.Pass(50 * time.Millisecond)
		if r := c.Do("GET /" + request11 + "\r\n"); r.Text != "ok" || !r.Close {
			t.Errorf("got %v", r.Response)
		}
		<-s.Site.Drained()
	})
}

// TestRetireAnswersWhatWasAsked: what idle clients had sent when the site retires is answered, a body that comes later
// included.
func TestRetireAnswersWhatWasAsked(t *testing.T) {
	holding := make(chan struct{})
	const rounds, clients = 5, 50
	for range rounds {
		s := webtest.Start(t, []*web.Module{&core.Module, probe(holding)}, `server {
			keepalive_timeout 60s; client_body_timeout 60s; # alike, so that one deadline would do for both
			location / { say ok; } location /read { read; } }`)
		idle := s.LoopbackClient()
		idle.Do("GET /" + request11 + "\r\n")
		var asked []*webtest.Client
		for range clients {
			c := s.LoopbackClient()
			c.Do("GET /" + request11 + "\r\n")
			asked = append(asked, c)
		}
		for _, c := range asked {
			if _, err := io.WriteString(c.Conn, "POST /read"+request11+"Content-Length: 4\r\n\r\nbo"); err != nil {
				t.Fatal(err)
			}
		}
		s.Site.Retire()
		idle.Closed() // the time to begin a request is over
		for _, c := range asked {
			c.Write("dy")
			if r := c.Read("POST"); r.Text != "body" || !r.Close {
				t.Fatalf("got %v %q", r.Response, r.Text)
			}
		}
		<-s.Site.Drained()
	}
}

func TestRetireWithoutConnections(t *testing.T) {
	s := start(t, `server { say ok; }`)
	s.Site.Retire()
	<-s.Site.Drained()
}

func TestCloseEndsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan struct{}, 1)
		s := webtest.Start(t, []*web.Module{&core.Module, probe(left)}, `server { delay_ms 60000; }`)
		conn := s.Dial()
		io.WriteString(conn, "GET /"+request11+"\r\n")
		synctest.Wait()
		s.Site.Close()
		<-left
		<-s.Site.Drained()
	})
}

func TestLimitRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, `server { limit_rate 1k; say `+strings.Repeat("x", 3072)+`; }`)
		began := time.Now()
		client := s.Client()
		if r := client.Do("GET /" + request11 + "\r\n"); len(r.Text) != 3072 {
			t.Errorf("got %d bytes", len(r.Text))
		}
		if d := time.Since(began); d < 1900*time.Millisecond || d > 3*time.Second {
			t.Errorf("3 KB at 1 KB/s took %v", d)
		}
	})
}
