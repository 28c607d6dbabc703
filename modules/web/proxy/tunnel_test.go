package proxy_test

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"

	"starling/web/webtest"
)

// TestTunnel: after 101 bytes go both ways, those that came early too.
func TestTunnel(t *testing.T) {
	b := webtest.Serve(t, func(p *webtest.Peer) {
		if head := p.Head(); !strings.Contains(head, "Upgrade: websocket\r\n") {
			p.T.Errorf("%q", head)
		}
		p.Say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
		for range 2 {
			p.Say("<" + p.Body(4) + ">")
		}
	})
	s := b.Proxied(modules, `proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;`)
	conn := s.DialLoopback()
	conn.SetDeadline(time.Now().Add(webtest.Patience))
	io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nping")
	want := "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello<ping>"
	r := bufio.NewReader(conn)
	got := ""
	for !strings.HasSuffix(got, "<ping>") {
		c, err := r.ReadByte()
		if err != nil {
			t.Fatalf("%q %v", got, err)
		}
		got += string(c)
	}
	if webtest.Undated(got) != want {
		t.Errorf("got %q, want %q", webtest.Undated(got), want)
	}
	io.WriteString(conn, "pong")
	rest, err := io.ReadAll(r)
	if string(rest) != "<pong>" || err != nil {
		t.Errorf("%q %v", rest, err)
	}
}

// The client gets the head of a 101 that it did not ask for, as from nginx, and then the end of the connection. HTTP/1.0
// knows no 101.
func TestSwitchesUnasked(t *testing.T) {
	tests := []struct{ name, request, want string }{
		{"HTTP/1.1", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := webtest.Answers(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nnever passed on")
			s := b.Proxied(modules, ``)
			got := webtest.Undated(s.Send(test.request))
			if !strings.HasPrefix(got, test.want) || strings.Contains(got, "never passed on") || strings.Count(got, "HTTP/1.1 ") > 1 {
				t.Errorf("got %q, want %q", got, test.want)
			}
			s.Logged("upstream switched protocols without being asked while reading response header from upstream")
		})
	}
}
