package web_test

import (
	"io"
	"strings"
	"testing"

	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

const request11 = " HTTP/1.1\r\nHost: localhost\r\n"

func TestConnectionsAreKept(t *testing.T) {
	s := start(t, `
keepalive_timeout 75s 60s;
server {
    say ok;
    keepalive_requests 3;
    location /never { keepalive_timeout 0; say ok; }
    location /msie { keepalive_disable msie6; say ok; }
}`)
	for _, c := range []struct {
		request string
		kept    bool
	}{
		{"GET /" + request11 + "\r\n", true},
		{"GET /" + request11 + "Connection: close\r\n\r\n", false},
		{"GET / HTTP/1.0\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
		{"GET /never" + request11 + "\r\n", false},
		{"POST /msie" + request11 + "User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)\r\nContent-Length: 0\r\n\r\n", false},
		{"POST /msie" + request11 + "User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)\r\nContent-Length: 0\r\n\r\n", true},
	} {
		client := s.Client()
		r := client.Do(c.request)
		if r.Close == c.kept || c.kept && r.Header.Get("Connection") != "keep-alive" {
			t.Errorf("%q: kept %v, want %v (%v)", c.request, !r.Close, c.kept, r.Header)
		}
		if want := map[bool]string{true: "timeout=60"}[c.kept]; r.Header.Get("Keep-Alive") != want {
			t.Errorf("%q: Keep-Alive: %q", c.request, r.Header.Get("Keep-Alive"))
		}
		if c.kept {
			client.Do("GET /" + request11 + "\r\n")
			if r := client.Do("GET /" + request11 + "\r\n"); !r.Close {
				t.Errorf("the third request of three is to be the last: %v", r.Header)
			}
		}
		client.Closed()
	}
}

func TestPipelining(t *testing.T) {
	s := start(t, `server { say "$uri $pipe"; location /body { read; } }`)
	client := s.LoopbackClient()
	client.Write("GET /1" + request11 + "\r\nPOST /body" + request11 + "Content-Length: 3\r\n\r\nabcGET /2" + request11 + "\r\n")
	for _, want := range []string{"/1 .", "abc", "/2 p"} {
		if got := client.Read("GET").Text; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestBodies(t *testing.T) {
	s := start(t, `
server {
    location / { client_max_body_size 10; read; }
    location /unread { say unread; }
    location /refused { client_max_body_size 3; read; }
}`)
	for _, c := range []struct{ name, request, want string }{
		{"length", "POST /" + request11 + "Content-Length: 5\r\n\r\nhello", "200 hello"},
		{"chunked", "POST /" + request11 + "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "200 hello"},
		{"none", "POST /" + request11 + "\r\n", "200 "},
		{"unread", "POST /unread" + request11 + "Content-Length: 5\r\n\r\nhello", "200 unread"},
		{"unread chunked", "POST /unread" + request11 + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "200 unread"},
	} {
		client := s.Client()
		for range 2 {
			r := client.Do(c.request)
			if got := r.Status[:4] + r.Text; got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
		}
	}
	for _, request := range []string{
		"POST /refused" + request11 + "Content-Length: 5\r\n\r\nhello",
		"POST /refused" + request11 + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"POST /refused" + request11 + "Content-Length: 1000000000000\r\n\r\n",
	} {
		client := s.LoopbackClient()
		if r := client.Do(request); r.StatusCode != 413 || !r.Close {
			t.Errorf("%q: got %v", request, r.Response)
		}
	}
	if log := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(log, "[error] *") ||
		!strings.Contains(log, "client intended to send too large body: 5 bytes, client: ") ||
		!strings.Contains(log, "client intended to send too large chunked body: 5 bytes") {
		t.Errorf("the log: %s", log)
	}
}

func TestExpectContinue(t *testing.T) {
	s := start(t, `server { location / { read; } location /unread { say unread; } }`)
	client := s.Client()
	client.Write("POST /" + request11 + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if r := client.Read("POST"); r.StatusCode != 100 {
		t.Fatalf("got %s", r.Status)
	}
	client.Write("hello")
	if r := client.Read("POST"); r.Text != "hello" {
		t.Errorf("got %q", r.Text)
	}
	// Who is answered without having been asked for the body may not send it, so this connection cannot go on.
	r := client.Do("POST /unread" + request11 + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if r.Text != "unread" || !r.Close {
		t.Errorf("got %v", r.Response)
	}
}

func TestFraming(t *testing.T) {
	s := start(t, `
server {
    location / { stream one two three; }
    location /plain { chunked_transfer_encoding off; stream one two; }
    location /less { promise 10; }
    location /204 { say "never sent"; error_page 403 =204 /204; refuse 204; }
}`)
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":    "3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n":                                    "onetwothree",
		"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":   "",
		"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n":                    "onetwo",
		"GET /less HTTP/1.1\r\nHost: a\r\n\r\n":                     "less",
		"GET /204 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n": "",
	} {
		if got := body(s.Send(request)); got != want {
			t.Errorf("%q: got %q, want %q", request, got, want)
		}
	}
	if got := s.Send("GET /\r\n"); got != "onetwothree" {
		t.Errorf("HTTP/0.9: got %q", got)
	}
	if got := s.Get("/204"); strings.Contains(got, "Content-") {
		t.Errorf("204: %q", got)
	}
}

// TestBadRequestsOfAServer: the server that Host names responds to what is wrong after it; a line that cannot be read has
// no version.
func TestBadRequestsOfAServer(t *testing.T) {
	s := start(t, `server { server_name first; error_page 400 /e; location /e { say first; } }
		server { server_name b; error_page 400 /e; location /e { say second; } }`)
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: b\r\nHost: c\r\n\r\n":            "second",
		"GET http://b/ HTTP/1.1\r\nHost: first\r\nX : y\r\n\r\n":  "second",
		"GET / HTTP/1.1\r\nX : y\r\nHost: b\r\n\r\n":              "first",
		"GET http://b*/ HTTP/1.1\r\nHost: b\r\n\r\n":              "first",
		"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: x\r\n\r\n": "second",
	} {
		if got := s.Send(request); status(got) != "400 Bad Request" || body(got) != want {
			t.Errorf("%q: %q, want %s", request, got, want)
		}
	}
}

func TestBadRequests(t *testing.T) {
	s := start(t, `server { say ok; error_page 494 /too/large; location /too/large { say large; } }`)
	long := strings.Repeat("x", 9000)
	for _, c := range []struct{ name, request, want string }{
		{"no host", "GET / HTTP/1.1\r\n\r\n", "400 Bad Request"},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 Bad Request"},
		{"bad host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 Bad Request"},
		{"trace", "TRACE /" + request11 + "\r\n", "405 Not Allowed"},
		{"connect", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "405 Not Allowed"},
		{"version", "GET / HTTP/2.0\r\n\r\n", "505 HTTP Version Not Supported"},
		{"long line", "GET /" + long + request11 + "\r\n", "414 Request-URI Too Large"},
		{"long header", "GET /" + request11 + "X: " + long + "\r\n\r\n", "400 Bad Request"},
		{"smuggling", "POST /" + request11 + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request"},
		{"coding", "POST /" + request11 + "Transfer-Encoding: gzip\r\n\r\n", "501 Not Implemented"},
		{"above the root", "GET /../x" + request11 + "\r\n", "400 Bad Request"},
	} {
		if got := status(s.Send(c.request)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if got := s.Send("GET /" + request11 + "X: " + long + "\r\n\r\n"); body(got) != "large" {
		t.Errorf("error_page 494: %q", got)
	}
	if log := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(log,
		`client sent HTTP/1.1 request without "Host" header while reading client request headers, client: unix:, server: , request: "GET / HTTP/1.1"`) {
		t.Errorf("the log: %s", log)
	}
}

func TestSilentEnds(t *testing.T) {
	s := start(t, `server { location / { refuse 444; } location /408 { refuse 408; } }`)
	for _, uri := range []string{"/", "/408"} {
		if got := s.Get(uri); got != "" {
			t.Errorf("%s: got %q", uri, got)
		}
	}
}

func TestAbsoluteRedirects(t *testing.T) {
	redirecting := probe(nil)
	redirecting.Handlers = append(redirecting.Handlers, web.Hook{Phase: web.PreContent, Build: func(b *web.Block) (web.Handler, error) {
		if b.Current != nil {
			b.Current.AutoRedirect = true
		}
		return nil, nil
	}})
	s := webtest.Start(t, []*web.Module{&core.Module, redirecting}, `
server {
    server_name first second;
    location /dir/ { say in; }
    location /named/ { server_name_in_redirect on; say in; }
    location /relative/ { absolute_redirect off; say in; }
    location "/sp ace/" { say in; }
    location /both { say both; }
    location /both/ { say in; }
    location = /exact/ { say in; }
    location = /two/ { absolute_redirect off; say in; }
    location /two/ { say in; }
}`)
	for uri, want := range map[string]string{
		"/dir":      "Location: http://second/dir/",
		"/dir?a=b":  "Location: http://second/dir/?a=b",
		"/named":    "Location: http://first/named/",
		"/relative": "Location: /relative/",
		"/sp%20ace": "Location: http://second/sp%20ace/",
		"/both":     "both",
		"/exact":    "Location: http://second/exact/",
		"/two":      "Location: /two/",
		"/dir/":     "in",
	} {
		got := s.Get(uri, "Host: second:99")
		if !strings.Contains(got, "\r\n"+want+"\r\n") && body(got) != want {
			t.Errorf("%s: got %q, want %q", uri, got, want)
		}
	}
}

// The splits of a request over packets must not matter.
func TestSplitAtEveryByte(t *testing.T) {
	s := start(t, `server { location / { read; } }`)
	request := "POST /a?b=c" + request11 + "Content-Length: 5\r\n\r\nhello"
	for i := 1; i < len(request); i++ {
		client := s.Client()
		go func() {
			io.WriteString(client.Conn, request[:i])
			io.WriteString(client.Conn, request[i:])
		}()
		if r := client.Read("POST"); r.Text != "hello" {
			t.Fatalf("split at %d: %q", i, r.Text)
		}
		client.Conn.Close()
	}
}
