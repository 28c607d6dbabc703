package proxy_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"starling/modules/web/proxy"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&web.Core, &proxy.Module}

// patience is how long a script waits for bytes before the test has failed.
const patience = time.Minute

// backend is a server that plays a script on each connection.
type backend struct {
	t        testing.TB
	Addr     string
	Accepted atomic.Int32
}

// peer is one connection to a backend.
type peer struct {
	net.Conn
	r *bufio.Reader
	t testing.TB
}

// serve plays script on each connection and then closes it.
func serve(t testing.TB, script func(p *peer)) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{t: t, Addr: l.Addr().String()}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.Accepted.Add(1)
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				script(&peer{c, bufio.NewReader(c), t})
			}()
		}
	}()
	return b
}

// head reads a request's head; "" at the end of the connection.
func (p *peer) head() string {
	var head strings.Builder
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return ""
		}
		head.WriteString(line)
		if line == "\r\n" {
			return head.String()
		}
	}
}

// body reads n bytes.
func (p *peer) body(n int) string {
	b := make([]byte, n)
	if _, err := io.ReadFull(p.r, b); err != nil {
		p.t.Errorf("the backend waited for %d bytes: %v", n, err)
	}
	return string(b)
}

func (p *peer) say(raw string) { io.WriteString(p, raw) } // a proxy that has hung up is what some tests want

// answers is a backend that reads one head and says the same to everybody.
func answers(t testing.TB, raw string) *backend {
	return serve(t, func(p *peer) {
		if p.head() != "" {
			p.say(raw)
		}
	})
}

// start runs a server with one location that proxies to b; BACKEND in the text stands for its address.
func start(t testing.TB, b *backend, text string) *webtest.Server {
	t.Helper()
	if !strings.Contains(text, "location") {
		text = "location / { proxy_pass http://BACKEND; " + text + " }"
	}
	return webtest.Start(t, modules, "server { "+strings.ReplaceAll(text, "BACKEND", b.Addr)+" }")
}

// undated takes out what changes from run to run.
func undated(response string) string {
	lines := strings.SplitAfter(response, "\r\n")
	kept := lines[:0]
	for _, line := range lines {
		if !strings.HasPrefix(line, "Date: ") && !strings.HasPrefix(line, "Server: starling") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// logged fails the test unless a line of the error log contains text.
func logged(t testing.TB, s *webtest.Server, text string) {
	t.Helper()
	lines := s.Log.Lines()
	for _, line := range lines {
		if strings.Contains(line, text) {
			return
		}
	}
	t.Errorf("not in the error log: %s\n%s", text, strings.Join(lines, "\n"))
}

// receive takes from a channel, and fails the test if nothing comes.
func receive[T any](t testing.TB, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatal("the backend did not get so far")
	}
	return v
}
