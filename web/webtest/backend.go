package webtest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"starling/web"
)

// Backend is a server behind the one under test, which runs a script on each connection.
type Backend struct {
	Addr     string
	Accepted atomic.Int32
	t        testing.TB
}

// Peer is one connection to a Backend.
type Peer struct {
	net.Conn
	R *bufio.Reader
	T testing.TB
}

// Serve runs script on each connection and then closes it.
func Serve(t testing.TB, script func(p *Peer)) *Backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ServeOn(t, l, script)
}

// ServeOn is Serve on a listener, which it closes.
func ServeOn(t testing.TB, l net.Listener, script func(p *Peer)) *Backend {
	b := &Backend{t: t, Addr: l.Addr().String()}
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
				c.SetDeadline(time.Now().Add(Patience))
				script(&Peer{c, bufio.NewReader(c), t})
			}()
		}
	}()
	return b
}

// Answers is a backend that reads one head and sends the same response to all clients.
func Answers(t testing.TB, raw string) *Backend {
	return Serve(t, func(p *Peer) {
		if p.Head() != "" {
			p.Say(raw)
		}
	})
}

// Behind starts a server in front of the backend. BACKEND in the text, which is that of a server block, is replaced by
// its address.
func (b *Backend) Behind(modules []*web.Module, text string) *Server {
	b.t.Helper()
	return Start(b.t, modules, "server { "+strings.ReplaceAll(text, "BACKEND", b.Addr)+" }")
}

// Proxied is Behind for a server with one location that proxies to the backend, with the directives of the text. A text
// with locations of its own is that of the server block.
func (b *Backend) Proxied(modules []*web.Module, text string) *Server {
	b.t.Helper()
	if !strings.Contains(text, "location") {
		text = "location / { proxy_pass http://BACKEND; " + text + " }"
	}
	return b.Behind(modules, text)
}

// Head reads a request's head; "" at the end of the connection.
func (p *Peer) Head() string {
	var head strings.Builder
	for {
		line, err := p.R.ReadString('\n')
		if err != nil {
			return ""
		}
		head.WriteString(line)
		if line == "\r\n" {
			return head.String()
		}
	}
}

// Body reads n bytes.
func (p *Peer) Body(n int) string {
	b := make([]byte, n)
	if _, err := io.ReadFull(p.R, b); err != nil {
		p.T.Errorf("the backend waited for %d bytes: %v", n, err)
	}
	return string(b)
}

// Request reads a whole request; its body only if it has a length.
func (p *Peer) Request() (head, body string) {
	head = p.Head()
	_, rest, found := strings.Cut(head, "Content-Length: ")
	if !found {
		return head, ""
	}
	length, err := strconv.Atoi(rest[:strings.Index(rest, "\r\n")])
	if err != nil {
		p.T.Error(err)
	}
	return head, p.Body(length)
}

// Answer writes a response with a body, after which the connection stays open.
func (p *Peer) Answer(body string) {
	p.Say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
}

// Say writes; some tests want a client that has disconnected, so errors are ignored.
func (p *Peer) Say(raw string) { io.WriteString(p, raw) }

// Logged fails the test unless a line of the error log contains text.
func (s *Server) Logged(text string) {
	s.t.Helper()
	lines := s.Log.Lines()
	for _, line := range lines {
		if strings.Contains(line, text) {
			return
		}
	}
	s.t.Errorf("not in the error log: %s\n%s", text, strings.Join(lines, "\n"))
}

// Undated removes the parts of a response that change from run to run.
func Undated(response string) string {
	lines := strings.SplitAfter(response, "\r\n")
	kept := lines[:0]
	for _, line := range lines {
		if !strings.HasPrefix(line, "Date: ") && !strings.HasPrefix(line, "Server: starling") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// Receive takes from a channel, and fails the test if nothing comes.
func Receive[T any](t testing.TB, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(Patience):
		t.Fatal("the backend did not get so far")
	}
	return v
}

// AwaitLog returns the next line of the error log that contains text.
func (s *Server) AwaitLog(text string) string {
	s.t.Helper()
	for {
		if line := Receive(s.t, s.Log.lines); strings.Contains(line, text) {
			return line
		}
	}
}
