package forward_test

import (
	"bufio"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/lib/testkit"
	"starling/modules/web/core"
	"starling/modules/web/proxy"
	"starling/web"
	"starling/web/webtest"
)

// The tests speak HTTP/1.1 to servers: the protocol that has all features of the kit.
var modules = []*web.Module{&core.Module, &proxy.Module}

// TestTLSToServers: https in proxy_pass, with and without a look at the certificate.
func TestTLSToServers(t *testing.T) {
	b, ca := webtest.ServeTLS(t, "app.example.com", func(p *webtest.Peer) {
		if p.Head() != "" {
			p.Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-SNI: " + p.TLS().ServerName + "\r\n\r\nok")
		}
	})
	for _, test := range []struct{ conf, want, log string }{
		{``, "HTTP/1.1 200", ""},
		{`proxy_ssl_server_name on; proxy_ssl_name app.example.com;`, "X-SNI: app.example.com", ""},
		{`proxy_ssl_verify on; proxy_ssl_trusted_certificate /ca.pem; proxy_ssl_name app.example.com;`, "HTTP/1.1 200", ""},
		{`proxy_ssl_verify on; proxy_ssl_trusted_certificate /ca.pem; proxy_ssl_name other.example.com;`, "HTTP/1.1 502",
			`upstream SSL certificate does not match "other.example.com" while SSL handshaking to upstream`},
	} {
		s := webtest.Start(t, modules, `server { location / { proxy_pass https://`+b.Addr+`; `+test.conf+` } }`, webtest.File("/ca.pem", string(ca.PEM)))
		if got := s.Get("/"); !strings.Contains(got, test.want) {
			t.Errorf("%s: %q lacks %q\n%v", test.conf, got, test.want, s.Log.Lines())
		}
		if test.log != "" {
			s.Logged(test.log)
		}
	}
}

// TestUnixSockets: a server may listen on one.
func TestUnixSockets(t *testing.T) {
	path := filepath.Join(testkit.SocketDir(t), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heads := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(webtest.Patience))
		p := &webtest.Peer{Conn: c, R: bufio.NewReader(c), T: t}
		heads <- p.Head()
		p.Say("HTTP/1.1 204 No Content\r\n\r\n")
	}()
	s := webtest.Start(t, modules, `server { location /a/ { proxy_pass http://unix:`+path+`:/b/; } }`)
	if got := s.Get("/a/c"); !strings.HasPrefix(got, "HTTP/1.1 204") {
		t.Errorf("%q %v", got, s.Log.Lines())
	}
	if got := webtest.Receive(t, heads); got != "GET /b/c HTTP/1.1\r\nHost: localhost\r\n\r\n" {
		t.Errorf("%q", got)
	}
}

// TestAccelRedirect: a server sends the request on to another location.
func TestAccelRedirect(t *testing.T) {
	for _, test := range []struct{ to, conf, want string }{
		{"/x/file?a=b", "", "GET /x/file?a=b HTTP/1.1"},
		{"/x/a%20b", "", "GET /x/a%20b HTTP/1.1"},
		{"@named", "", "NAMED /start HTTP/1.1"},
		{"/../up", "", "404"},
		{"", "", "404"},
		{"/x/%2e%2E/up", "", "404"},
		{"/x/..", "", "404"},
		{"x/y", "", "404"},
		{"/x/a%0", "", "GET /x/a HTTP/1.1"},
		{"/x/%a%62%", "", "GET /x/62 HTTP/1.1"},
		{"/x/%00", "", "404"},
		{"/x/..y", "", "GET /x/..y HTTP/1.1"},
		{"/x/", "proxy_ignore_headers X-Accel-Redirect;", "200"},
	} {
		heads := make(chan string, 2)
		first := true
		b := webtest.Serve(t, func(p *webtest.Peer) {
			head := p.Head()
			if first {
				first = false
				p.Say("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nX-Other: c\r\nX-Accel-Redirect: " + test.to + "\r\nContent-Length: 7\r\n\r\nignored")
				return
			}
			heads <- head
			p.Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfinal")
		})
		s := b.Proxied(modules, `location /start { proxy_pass http://BACKEND; `+test.conf+` } location /x/ { internal; proxy_pass http://BACKEND; }
			location @named { proxy_method NAMED; proxy_pass http://BACKEND; }`)
		got := s.Get("/start")
		if len(test.want) == 3 {
			if !strings.HasPrefix(got, "HTTP/1.1 "+test.want) {
				t.Errorf("%s: %q, want %s", test.to, got, test.want)
			}
			continue
		}
		if !strings.Contains(got, "\r\nSet-Cookie: a=b\r\n") || strings.Contains(got, "X-Other") || !strings.HasSuffix(got, "final") {
			t.Errorf("%s: %q", test.to, got)
		}
		if head := webtest.Receive(t, heads); !strings.HasPrefix(head, test.want+"\r\n") {
			t.Errorf("%s led to %q, want %q", test.to, head, test.want)
		}
	}
}

// TestTooLargeBodies: a chunked body over client_max_body_size ends the request, wherever it is found out.
func TestTooLargeBodies(t *testing.T) {
	b := webtest.Serve(t, func(p *webtest.Peer) {
		for p.Head() != "" {
		}
	})
	for _, conf := range []string{`client_max_body_size 10;`, `client_max_body_size 10; proxy_request_buffering off;`} {
		s := b.Proxied(modules, conf)
		got := s.Send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n01234567890123456789\r\n0\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 413 ") {
			t.Errorf("%s: %q %v", conf, got, s.Log.Lines())
		}
		s.Logged("client intended to send too large chunked body")
	}
}

// TestExpectWithoutBody: a client may wait for 100 although it has nothing to send; nginx tells it to go on.
func TestExpectWithoutBody(t *testing.T) {
	b := webtest.Answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	s := b.Proxied(modules, ``)
	got := s.Send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n") {
		t.Errorf("got %q", got)
	}
}
