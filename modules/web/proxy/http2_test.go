package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"starling/web/webtest"
)

// http2Server is a server of HTTP/2 without TLS, by its address.
func http2Server(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(answer)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// seen is a request as a server gets it: its first line, Host, other headers in their order by name, and the body.
func seen(r *http.Request) string {
	body, err := io.ReadAll(r.Body)
	parts := []string{fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Proto), r.Host, fmt.Sprint(r.ContentLength)}
	for name, values := range r.Header {
		parts = append(parts, name+": "+strings.Join(values, "+"))
	}
	slices.Sort(parts[3:])
	if err != nil {
		parts = append(parts, err.Error())
	}
	return strings.Join(append(parts, string(body)), "|")
}

// TestHTTP2Requests: what a server gets with proxy_http_version 2.
func TestHTTP2Requests(t *testing.T) {
	const get, post = "GET /a%20b?c HTTP/1.1|Host: client", "POST / HTTP/1.1|Host: client|Content-Length: 5||abcde"
	const chunked = "POST / HTTP/1.1|Host: client|Transfer-Encoding: chunked||3|abc|2|de|0||"
	for _, c := range []struct{ conf, send, want string }{
		{``, get + "|X-Some: Thing|X-Some: Other", "GET /a%20b?c HTTP/2.0|BACKEND|0|X-Some: Thing+Other|"},
		{``, get + "|TE: trailers|Keep-Alive: 1|Upgrade: x|Proxy-Connection: y|Expect: z", "GET /a%20b?c HTTP/2.0|BACKEND|0|"},
		{`proxy_set_header Upgrade x; proxy_set_header Connection upgrade; proxy_set_header X-Empty ""; proxy_set_header Host $host:1;`,
			get + "|X-Empty: gone", "GET /a%20b?c HTTP/2.0|client:1|0|"},
		{`proxy_set_header Host ""; proxy_set_header X $arg_a$uri;`, "GET /%0d%0aA:b HTTP/1.1|Host: client", "GET /%0d%0aA:b HTTP/2.0|BACKEND|0|X: /  A:b|"},
		{`proxy_method PURGE; proxy_pass_request_headers off;`, get + "|X: y", "PURGE /a%20b?c HTTP/2.0|BACKEND|0|"},
		{``, post, "POST / HTTP/2.0|BACKEND|5|Content-Length: 5|abcde"},
		{``, "POST / HTTP/1.1|Host: client|Content-Length: 0", "POST / HTTP/2.0|BACKEND|0|Content-Length: 0|"},
		{``, chunked, "POST / HTTP/2.0|BACKEND|5|Content-Length: 5|abcde"},
		{`client_body_buffer_size 2;`, chunked, "POST / HTTP/2.0|BACKEND|5|Content-Length: 5|abcde"},
		{`proxy_set_body x=$request_method;`, post, "POST / HTTP/2.0|BACKEND|6|Content-Length: 6|x=POST"},
		{`proxy_pass_request_body off;`, post, "POST / HTTP/2.0|BACKEND|0|"},
		{`proxy_set_header Content-Length 9;`, post, "POST / HTTP/2.0|BACKEND|5|Content-Length: 5|abcde"},
		{`proxy_set_header Content-Length 9; proxy_pass_request_body off;`, post, "POST / HTTP/2.0|BACKEND|0|"},
	} {
		got := make(chan string, 1)
		addr := http2Server(t, func(w http.ResponseWriter, r *http.Request) { got <- seen(r) })
		s := webtest.Start(t, modules, `server { location / { proxy_pass http://`+addr+`; proxy_http_version 2; `+c.conf+` } }`)
		send := strings.ReplaceAll(strings.Replace(c.send, "Host: client", "Host: client|Connection: close", 1), "|", webtest.CRLF)
		if !strings.Contains(send, webtest.CRLF+webtest.CRLF) {
			send += webtest.CRLF + webtest.CRLF
		}
		if answer := s.Send(send); !strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("%s %q: %q %q", c.conf, c.send, answer, s.Log.Lines())
		} else if got, want := webtest.Receive(t, got), strings.ReplaceAll(c.want, "BACKEND", addr); got != want {
			t.Errorf("%s %q\ngot  %q\nwant %q", c.conf, c.send, got, want)
		}
	}
}

// TestHTTP2Streams: a body is passed on as it comes with proxy_request_buffering off.
func TestHTTP2Streams(t *testing.T) {
	first, rest := make(chan string, 1), make(chan string, 1)
	addr := http2Server(t, func(w http.ResponseWriter, r *http.Request) {
		piece := make([]byte, 3)
		io.ReadFull(r.Body, piece)
		first <- fmt.Sprint(r.ContentLength, " ", string(piece))
		rest <- seen(r)
	})
	s := webtest.Start(t, modules, `server { proxy_http_version 2; location / { proxy_pass http://`+addr+`; proxy_request_buffering off; } }`)
	c := s.LoopbackClient()
	c.Write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	if got := webtest.Receive(t, first); got != "-1 abc" {
		t.Errorf("%q", got)
	}
	c.Write("2\r\nde\r\n0\r\n\r\n")
	if got := webtest.Receive(t, rest); !strings.HasSuffix(got, "|de") {
		t.Errorf("%q", got)
	}
	if r := c.Read("POST"); r.StatusCode != 200 {
		t.Error(r.StatusCode)
	}
}

// TestHTTP2Responses: what a client of HTTP/1 gets of them.
func TestHTTP2Responses(t *testing.T) {
	for _, c := range []struct {
		conf, request string
		answer        http.HandlerFunc
		want          string
	}{
		{``, "GET", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hi") },
			"HTTP/1.1 200 OK|Content-Type: text/plain; charset=utf-8|Content-Length: 2|Connection: close||hi"},
		{`proxy_redirect / /out/; proxy_cookie_flags a secure;`, "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/in")
			w.Header().Set("Set-Cookie", "a=b")
			w.WriteHeader(302)
		}, "HTTP/1.1 302 Moved Temporarily|Content-Length: 0|Location: http://localhost/out/in|Connection: close|set-cookie: a=b; Secure||"},
		{`proxy_pass_trailers on;`, "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "a/b")
			io.WriteString(w, "hi")
			http.NewResponseController(w).Flush()
			w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		}, "HTTP/1.1 200 OK|Content-Type: a/b|Transfer-Encoding: chunked|Connection: close||2|hi|0|x-sum: 1||"},
		{``, "HEAD", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "7") },
			"HTTP/1.1 200 OK|Content-Length: 7|Connection: close||"},
		{``, "GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "HTTP/1.1 204 No Content|Connection: close||"},
		{`proxy_intercept_errors on; error_page 404 =410 /x; `, "GET", http.NotFound, "410"},
		{``, "GET", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, "502"},
	} {
		addr := http2Server(t, c.answer)
		s := webtest.Start(t, modules, `server { location / { proxy_pass http://`+addr+`; proxy_http_version 2; `+c.conf+` } }`)
		got := strings.ReplaceAll(webtest.Undated(s.Send(c.request+" / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")), webtest.CRLF, "|")
		if got != c.want && !(len(c.want) == 3 && strings.HasPrefix(got, "HTTP/1.1 "+c.want+" ")) {
			t.Errorf("%s\ngot  %s\nwant %s\n%q", c.conf, got, c.want, s.Log.Lines())
		}
	}
}

// TestVersionsOfHTTP: of the servers of HTTP/1, HTTP/2 has none.
func TestVersionsOfHTTP(t *testing.T) {
	if _, err := webtest.Load(t, modules, `proxy_http_version 3;`); err == nil || err.Error() != `invalid value "3" in /test.conf:1` {
		t.Error(err)
	}
	s := webtest.Answers(t, "HTTP/1.1 200 OK\r\n\r\n").Proxied(modules, `proxy_http_version 2;`)
	if got := s.Get("/"); !strings.HasPrefix(got, "HTTP/1.1 502 ") {
		t.Errorf("%q", got)
	}
}
