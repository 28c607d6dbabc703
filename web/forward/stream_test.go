package forward_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"starling/lib/testkit"
	"starling/web/webtest"
)

// TestUploadsStream: the server has the beginning of a body before the client sends the rest.
func TestUploadsStream(t *testing.T) {
	for _, conf := range []string{`proxy_request_buffering off;`, `proxy_request_buffering off; client_body_buffer_size 2; client_body_in_file_only on;`} {
		t.Run(conf, func(t *testing.T) {
			began, got := make(chan string, 1), make(chan string, 1)
			b := webtest.Serve(t, func(p *webtest.Peer) {
				head := p.Head()
				began <- head + p.Body(len("3\r\nabc\r\n"))
				got <- p.Body(len("2\r\nde\r\n0\r\n\r\n"))
				p.Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			})
			c := b.Proxied(modules, conf).Client()
			c.Write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
			if first := webtest.Receive(t, began); !strings.Contains(first, "Transfer-Encoding: chunked\r\n") || !strings.HasSuffix(first, "3\r\nabc\r\n") {
				t.Errorf("%q", first)
			}
			c.Write("2\r\nde\r\n0\r\n\r\n")
			if rest := webtest.Receive(t, got); rest != "2\r\nde\r\n0\r\n\r\n" {
				t.Errorf("%q", rest)
			}
			if r := c.Read("POST"); r.Text != "ok" {
				t.Errorf("%d %q", r.StatusCode, r.Text)
			}
		})
	}
}

// TestBigBodies: a body much larger than all buffers passes both ways.
func TestBigBodies(t *testing.T) {
	const size = 5 << 20
	b := webtest.Serve(t, func(p *webtest.Peer) {
		p.Head()
		p.Say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))
		if n, err := io.CopyN(p, p.R, size); err != nil {
			p.T.Errorf("after %d bytes: %v", n, err)
		}
	})
	// An answer that begins before the request has ended: the echo needs a client that reads while it writes.
	c := b.Proxied(modules, `client_max_body_size 0; proxy_request_buffering off;`).LoopbackClient()
	c.Write(fmt.Sprintf("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("0123456789abcdef", size/16)))
	if r := c.Read("PUT"); len(r.Text) != size || !strings.HasPrefix(r.Text, "0123456789abcdef0") {
		t.Errorf("%d bytes came back", len(r.Text))
	}
}

// TestEarlyAnswers: a server that answers before it has read the body is heard.
func TestEarlyAnswers(t *testing.T) {
	b := webtest.Serve(t, func(p *webtest.Peer) {
		p.Head()
		p.Say("HTTP/1.1 413 Too much\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!")
	})
	c := b.Proxied(modules, `client_max_body_size 0; proxy_request_buffering off;`).LoopbackClient()
	go io.WriteString(
		c.Conn,
		"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"+strings.Repeat("x", 10_000_000),
	) // fails when the server hangs up
	if r := c.Read("PUT"); r.StatusCode != 413 || r.Text != "no!" {
		t.Errorf("%d %q", r.StatusCode, r.Text)
	}
}

// TestResponsesStream: without buffering a piece reaches the client before the server has the next one.
func TestResponsesStream(t *testing.T) {
	more := make(chan bool, 2)
	b := webtest.Serve(t, func(p *webtest.Peer) {
		p.Head()
		p.Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		<-more
		p.Say("1\r\na\r\n")
		<-more
		p.Say("1\r\nb\r\n0\r\n\r\n")
	})
	conn := b.Proxied(modules, `proxy_buffering off;`).Dial()
	conn.SetDeadline(time.Now().Add(webtest.Patience))
	go io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	r := bufio.NewReader(conn)
	until := func(text string) {
		t.Helper()
		for seen := ""; !strings.HasSuffix(seen, text); {
			c, err := r.ReadByte()
			if err != nil {
				t.Fatalf("after %q: %v", seen, err)
			}
			seen += string(c)
		}
	}
	until("\r\n\r\n")
	more <- true
	until("1\r\na\r\n")
	more <- true
	until("1\r\nb\r\n0\r\n\r\n")
}

// TestCutShort: the client of an unfinished answer sees that it is unfinished.
func TestCutShort(t *testing.T) {
	for _, test := range []struct{ answer, want string }{
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "abc"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "3\r\nabc\r\n"},
	} {
		s := webtest.Answers(t, test.answer).Proxied(modules, ``)
		_, body, _ := strings.Cut(s.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "\r\n\r\n")
		if body != test.want {
			t.Errorf("%q became %q", test.answer, body)
		}
		s.Logged("upstream prematurely closed connection while reading upstream")
	}
	s := webtest.Answers(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n").Proxied(modules, ``)
	s.Get("/")
	s.Logged("upstream sent invalid chunked response")
}

// TestClientLeaves: the connection to the server is closed when the client is gone.
func TestClientLeaves(t *testing.T) {
	asked, left := make(chan bool, 1), make(chan error, 1)
	b := webtest.Serve(t, func(p *webtest.Peer) {
		p.Head()
		asked <- true
		_, err := p.R.ReadByte()
		left <- err
	})
	s := b.Proxied(modules, ``)
	conn := s.DialLoopback()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	webtest.Receive(t, asked)
	conn.Close()
	if err := webtest.Receive(t, left); err != io.EOF {
		t.Errorf("the server saw %v", err)
	}
	testkit.Eventually(t, webtest.Patience, func() error {
		for _, line := range s.Log.Lines() {
			if strings.Contains(line, "client prematurely closed connection") {
				return nil
			}
		}
		return fmt.Errorf("nothing is logged")
	})
}
