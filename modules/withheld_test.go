package modules_test

import (
	"bufio"
	"net/textproto"
	"strings"
	"testing"

	"starling/modules/web/authrequest"
	"starling/web/webtest"
)

// TestBodiesThatAreNotPassed: as in nginx, the server is told the length of a body that it does not get, unless the
// configuration says another. Then nothing follows on the connection, because the server would take it for the body.
func TestBodiesThatAreNotPassed(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"
	const chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, c := range []struct {
		name, conf, request, told string
		connections               int32
	}{
		{"by default", "", post, "5", 2},
		{"chunks", "", chunked, "5", 2},
		{"in a file", "client_body_buffer_size 2;", post, "5", 2},
		{"an empty length", `proxy_set_header Content-Length "";`, post, "", 1},
		{"a length of zero", `proxy_set_header Content-Length 0;`, post, "0", 1},
		{"a length of its own", `proxy_set_header Content-Length $content_length;`, post, "5", 2},
		{"no body", "", get, "", 1},
		{"no body, and a length of its own", `proxy_set_header Content-Length $content_length;`, get, "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			told := make(chan string, 2)
			b := tellingServer(t, told)
			s := webtest.Start(t, forwardFamilies, `upstream u { server `+b.Addr+`; keepalive 4; }
				server { location / { proxy_pass http://u; proxy_pass_request_body off; `+c.conf+` } }`)
			client := s.Client()
			for range 2 {
				if r := client.Do(c.request); r.Text != "ok" {
					t.Fatalf("%s %q", r.Status, r.Text)
				}
				if got := webtest.Receive(t, told); got != c.told {
					t.Errorf("the server was told %q, want %q", got, c.told)
				}
			}
			if got := b.Accepted.Load(); got != c.connections {
				t.Errorf("%d connections, want %d", got, c.connections)
			}
		})
	}
}

// tellingServer answers each head at once, without a look at its body, and tells the Content-Length of each.
func tellingServer(t *testing.T, told chan<- string) *webtest.Backend {
	return webtest.Serve(t, func(p *webtest.Peer) {
		for {
			head := p.Head()
			if head == "" {
				return
			}
			_, fields, _ := strings.Cut(head, "\r\n")
			header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(fields))).ReadMIMEHeader()
			if err != nil {
				t.Errorf("%v in %q", err, head)
			}
			told <- strings.Join(header["Content-Length"], ",")
			p.Answer("ok")
		}
	})
}

// TestLengthsInSubrequests: a subrequest without a body of its own says so only if there was one. The server is told
// the client's length only where the configuration keeps the body back.
func TestLengthsInSubrequests(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, c := range []struct{ name, conf, request, told string }{
		{"no body", "", get, ""},
		{"a body", "", post, "0"},
		{"a body that is kept back", "proxy_pass_request_body off;", post, "5"},
		{"no body that is kept back", "proxy_pass_request_body off;", get, ""},
		{"an empty length", `proxy_pass_request_body off; proxy_set_header Content-Length "";`, post, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			told := make(chan string, 2)
			b := tellingServer(t, told)
			s := webtest.Start(t, append(forwardFamilies[:len(forwardFamilies):len(forwardFamilies)], &authrequest.Module, webtest.Say()),
				`server { location / { auth_request /auth; say in; } location = /auth { proxy_pass http://`+b.Addr+`; `+c.conf+` } }`)
			if r := s.Client().Do(c.request); r.Text != "in" {
				t.Fatalf("%s %q", r.Status, r.Text)
			}
			if got := webtest.Receive(t, told); got != c.told {
				t.Errorf("the server was told %q, want %q", got, c.told)
			}
		})
	}
}
