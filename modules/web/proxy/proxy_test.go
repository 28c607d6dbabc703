package proxy_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"starling/modules/web/core"
	"starling/modules/web/proxy"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &proxy.Module}

// TestRequestHeads: what the server sees of a request.
func TestRequestHeads(t *testing.T) {
	get := func(target string, headers ...string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: example.com\r\n" + strings.Join(append(headers, "Connection: close"), webtest.CRLF) + "\r\n\r\n"
	}
	tests := []struct{ name, conf, request, want string }{
		{"as it came", ``, get("/a%20b/../c?x=%zz", "User-Agent: t", "X-Y: 1"), "GET /a%20b/../c?x=%zz HTTP/1.1|Host: BACKEND|User-Agent: t|X-Y: 1||"},
		{"hop by hop", ``, get("/", "Keep-Alive: 5", "TE: trailers", "Upgrade: h2c", "Proxy-Connection: x", "Expect: y"), "GET / HTTP/1.1|Host: BACKEND||"},
		{"HTTP/1.0", `proxy_http_version 1.0;`, get("/"), "GET / HTTP/1.0|Host: BACKEND||"},
		{"a URI takes the place of the location's name", `location /a/ { proxy_pass http://BACKEND/b/; }`, get("/a/c%3Fd?e"),
			"GET /b/c%3Fd?e HTTP/1.1|Host: BACKEND||"},
		{"a URI with arguments", `location /a { proxy_pass http://BACKEND/b?c=; }`, get("/ad"), "GET /b?c=d HTTP/1.1|Host: BACKEND||"},
		{"an exact location", `location = /a { proxy_pass http://BACKEND/b; }`, get("/a"), "GET /b HTTP/1.1|Host: BACKEND||"},
		{"a regular expression", `location ~ ^/a { proxy_pass http://BACKEND; }`, get("/a%2fb"), "GET /a%2fb HTTP/1.1|Host: BACKEND||"},
		{"variables", `location ~ ^/a/(.*) { proxy_pass http://BACKEND/b/$1$is_args$args; }`, get("/a/c?d"), "GET /b/c?d HTTP/1.1|Host: BACKEND||"},
		{"variables without a URI", `location / { proxy_pass http://$http_x_to; }`, get("/a%20b", "X-To: BACKEND"), "GET /a%20b HTTP/1.1|Host: BACKEND|X-To: BACKEND||"},
		{"set headers come first, empty ones not at all", `proxy_set_header X-Real-IP $request_method; proxy_set_header Accept ""; proxy_set_header X-None $arg_none;`,
			get("/", "Accept: a", "X-Real-IP: forged", "B: c"), "GET / HTTP/1.1|Host: BACKEND|X-Real-IP: GET|B: c||"},
		{"Host", `proxy_set_header Host $host;`, get("/"), "GET / HTTP/1.1|Host: example.com||"},
		{"X-Forwarded-For", `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`, get("/", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2"),
			"GET / HTTP/1.1|Host: BACKEND|X-Forwarded-For: 1.1.1.1, 2.2.2.2, unix:||"},
		{"Upgrade asked for", `proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;`, get("/", "Upgrade: websocket"),
			"GET / HTTP/1.1|Host: BACKEND|Upgrade: websocket|Connection: upgrade||"},
		{"no headers", `proxy_pass_request_headers off;`, get("/", "X: y"), "GET / HTTP/1.1|Host: BACKEND||"},
		{"method", `proxy_method PUT;`, get("/"), "PUT / HTTP/1.1|Host: BACKEND||"},
		{"a value cannot end its line", `proxy_set_header X $arg_x$uri;`, get("/%0d%0aEvil:1"), "GET /%0d%0aEvil:1 HTTP/1.1|Host: BACKEND|X: /  Evil:1||"},
		{"a path without escapes goes as it came", `location / { proxy_pass http://BACKEND/to/; }`, get("/\xc3\xa9{a}\"b`^<>\\"),
			"GET /to/\xc3\xa9{a}\"b`^<>\\ HTTP/1.1|Host: BACKEND||"},
		{"a path with escapes is escaped again", `location / { proxy_pass http://BACKEND/to/; }`, get("/\xc3\xa9{a}%62"),
			"GET /to/%C3%A9%7Ba%7Db HTTP/1.1|Host: BACKEND||"},
		{"inheritance", `proxy_set_header A b; location / { proxy_pass http://BACKEND; proxy_set_header C d; }`, get("/"), "GET / HTTP/1.1|Host: BACKEND|C: d||"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			heads := make(chan string, 1)
			b := webtest.Serve(t, func(p *webtest.Peer) {
				heads <- p.Head()
				p.Say("HTTP/1.1 204 No Content\r\n\r\n")
			})
			s := b.Proxied(modules, test.conf)
			if got := s.Send(strings.ReplaceAll(test.request, "BACKEND", b.Addr)); !strings.HasPrefix(got, "HTTP/1.1 204") {
				t.Fatalf("%q %v", got, s.Log.Lines())
			}
			want := strings.NewReplacer("|", webtest.CRLF, "BACKEND", b.Addr).Replace(test.want)
			if got := webtest.Receive(t, heads); got != want {
				t.Errorf("the server got %q, want %q", got, want)
			}
		})
	}
}

// TestRequestBodies: how bodies are framed for the server.
func TestRequestBodies(t *testing.T) {
	chunked := "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
	plain := "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde"
	tests := []struct{ name, conf, request, want string }{
		{"with a length", ``, plain, "Content-Length: 5||abcde"},
		{"chunks that fit are counted first", ``, chunked, "Content-Length: 5||abcde"},
		{"a body that does not fit into memory", `client_body_buffer_size 2;`, plain, "Content-Length: 5||abcde"},
		{"chunks that do not fit into memory", `client_body_buffer_size 2;`, chunked, "Content-Length: 5||abcde"},
		{"HTTP/1.0 knows no chunks", `proxy_http_version 1.0; client_body_buffer_size 2;`, chunked, "Content-Length: 5||abcde"},
		{"no body", `proxy_pass_request_body off;`, plain, "Content-Length: 5||"}, // as in nginx
		{"no body and no length", `proxy_pass_request_body off; proxy_set_header Content-Length "";`, plain, "Host: BACKEND||"},
		{"a length of its own gives way", `proxy_set_header Content-Length 9;`, plain, "Host: BACKEND|Content-Length: 5||abcde"},
		{"an empty length gives way", `proxy_set_header Content-Length "";`, plain, "Host: BACKEND|Content-Length: 5||abcde"},
		{"another body", `proxy_set_body "x=$request_method";`, plain, "Content-Length: 6||x=POST"},
		{"an empty body", ``, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "Content-Length: 0||"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := make(chan string, 1)
			b := webtest.Serve(t, func(p *webtest.Peer) {
				head := p.Head()
				want, body := strings.ReplaceAll(test.want, "|", webtest.CRLF), ""
				if i := strings.Index(want, "\r\n\r\n"); len(want) > i+4 {
					body = p.Body(len(want) - i - 4)
				}
				got <- head + body
				p.Say("HTTP/1.1 204 No Content\r\n\r\n")
			})
			s := b.Proxied(modules, test.conf)
			if response := s.Send(test.request); !strings.HasPrefix(response, "HTTP/1.1 204") {
				t.Errorf("%q %v", response, s.Log.Lines())
			}
			want := strings.NewReplacer("|", webtest.CRLF, "BACKEND", b.Addr).Replace(test.want)
			if got := webtest.Receive(t, got); !strings.HasSuffix(got, want) {
				t.Errorf("the server got %q, want it to end with %q", got, want)
			}
		})
	}
}

// TestResponses: what the client gets of an answer.
func TestResponses(t *testing.T) {
	tests := []struct{ name, conf, answer, want string }{
		{"with a length", ``, "HTTP/1.1 200 OK|Content-Length: 2|X: y||hi", "HTTP/1.1 200 OK|Content-Length: 2|Connection: close|X: y||hi"},
		{"a reason of its own", ``, "HTTP/1.1 200 Fine by me|Content-Length: 0||", "HTTP/1.1 200 Fine by me|Content-Length: 0|Connection: close||"},
		{"until close", ``, "HTTP/1.0 200 OK|Content-Type: text/x||hi", "HTTP/1.1 200 OK|Content-Type: text/x|Transfer-Encoding: chunked|Connection: close||2|hi|0||"},
		{"chunks", ``, "HTTP/1.1 200 OK|Transfer-Encoding: chunked||1|h|1|i|0||", "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Connection: close||2|hi|0||"},
		{"hop by hop", ``, "HTTP/1.1 200 OK|Keep-Alive: 5|Connection: x|Content-Length: 0|TE: y|Trailer: x||", "HTTP/1.1 200 OK|Content-Length: 0|Connection: close|Trailer: x||"},
		{"hidden", ``, "HTTP/1.1 200 OK|X-Pad: a|X-Accel-Expires: 1|X-Accel-Buffering: no|Server: b|Date: now|Content-Length: 0||", "HTTP/1.1 200 OK|Content-Length: 0|Connection: close||"},
		{"passed", `proxy_pass_header Server; proxy_pass_header X-Pad;`, "HTTP/1.1 200 OK|X-Pad: a|Server: b|Content-Length: 0||", "HTTP/1.1 200 OK|Content-Length: 0|Connection: close|X-Pad: a|Server: b||"},
		{"hidden by name", `proxy_hide_header x-secret; proxy_hide_header ETag;`, "HTTP/1.1 200 OK|X-Secret: a|ETag: b|Content-Length: 0||", "HTTP/1.1 200 OK|Content-Length: 0|Connection: close||"},
		{"a hidden type", `proxy_hide_header Content-Type; default_type x/y;`, "HTTP/1.1 200 OK|Content-Type: text/x|Content-Length: 2||hi", "HTTP/1.1 200 OK|Content-Length: 2|Connection: close||hi"},
		{"trailers", `proxy_pass_trailers on;`, "HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|hi|0|X-Sum: 1||",
			"HTTP/1.1 200 OK|Transfer-Encoding: chunked|Connection: close||2|hi|0|X-Sum: 1||"},
		{"trailers that nobody asked for", ``, "HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|hi|0|X-Sum: 1||",
			"HTTP/1.1 200 OK|Transfer-Encoding: chunked|Connection: close||2|hi|0||"},
		{"once only", ``, "HTTP/1.1 200 OK|Expires: a|Expires: b|X: c|X: d|Content-Length: 0||", "HTTP/1.1 200 OK|Content-Length: 0|Connection: close|Expires: a|X: c|X: d||"},
		{"100 before", ``, "HTTP/1.1 100 Continue||HTTP/1.1 200 OK|Content-Length: 1||a", "HTTP/1.1 200 OK|Content-Length: 1|Connection: close||a"},
		{"103 before", ``, "HTTP/1.1 103 Early Hints|Link: </a>||HTTP/1.1 200 OK|Content-Length: 0||",
			"HTTP/1.1 200 OK|Content-Length: 0|Connection: close||"},
		{"204", ``, "HTTP/1.1 204 No Content||", "HTTP/1.1 204 No Content|Connection: close||"},
		{"204 with a type", ``, "HTTP/1.1 204 No Content|Content-Type: text/x||", "HTTP/1.1 204 No Content|Content-Type: text/x|Connection: close||"},
		{"304", ``, "HTTP/1.1 304 Not Modified|ETag: a||", "HTTP/1.1 304 Not Modified|Connection: close|ETag: a||"},
		{"a page of ours instead", `location / { proxy_pass http://BACKEND; proxy_intercept_errors on; error_page 404 =200 @ok; } location @ok { proxy_pass http://BACKEND; }`,
			"HTTP/1.1 404 Nope|Content-Length: 1||x", "HTTP/1.1 200 OK|Content-Length: 1|Connection: close||x"},
		{"no page for the status", `proxy_intercept_errors on; error_page 403 /x;`, "HTTP/1.1 404 Nope|Content-Length: 1||x", "HTTP/1.1 404 Nope|Content-Length: 1|Connection: close||x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := webtest.Answers(t, strings.ReplaceAll(test.answer, "|", webtest.CRLF))
			s := b.Proxied(modules, test.conf)
			want := strings.ReplaceAll(test.want, "|", webtest.CRLF)
			if got := webtest.Undated(s.Get("/")); got != want {
				t.Errorf("got  %q\nwant %q\n%v", got, want, s.Log.Lines())
			}
		})
	}
}

// A passed Date or Server is the server's: if the server sends none, the client gets none.
func TestPassedHeadersThatAreMissing(t *testing.T) {
	b := webtest.Answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	tests := []struct{ name, conf, want string }{
		{"neither passed", ``, "Server Date"},
		{"Date", `proxy_pass_header Date;`, "Server"},
		{"Server", `proxy_pass_header Server;`, "Date"},
		{"both", `proxy_pass_header Server; proxy_pass_header Date;`, ""},
		{"passed and hidden", `proxy_pass_header Server; proxy_hide_header Server;`, "Server Date"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := b.Proxied(modules, test.conf).Get("/")
			var names []string
			for _, name := range []string{"Server", "Date"} {
				if strings.Contains(got, "\r\n"+name+": ") {
					names = append(names, name)
				}
			}
			if strings.Join(names, " ") != test.want || !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
				t.Errorf("got %q, want of these headers only %q", got, test.want)
			}
		})
	}
}

// TestRewrittenHeaders: proxy_redirect and proxy_cookie_*.
func TestRewrittenHeaders(t *testing.T) {
	tests := []struct{ name, conf, header, want string }{
		{"the default", `location /a/ { proxy_pass http://BACKEND/b/; }`, "Location: http://BACKEND/b/c", "Location: http://localhost/a/c"},
		{"the default without a URI", `location /a/ { proxy_pass http://BACKEND; }`, "Location: http://BACKEND/b/c", "Location: http://localhost/b/c"},
		{"the default, elsewhere", `location /a/ { proxy_pass http://BACKEND/b/; }`, "Location: http://other/b/c", "Location: http://other/b/c"},
		{"relative ones stay", `location /a/ { proxy_pass http://BACKEND; }`, "Location: /b/c", "Location: /b/c"},
		{"off", `location /a/ { proxy_pass http://BACKEND/; proxy_redirect off; }`, "Location: http://BACKEND/c", "Location: http://BACKEND/c"},
		{"a pair", `location /a/ { proxy_pass http://BACKEND; proxy_redirect http://x/ https://$host/y/; }`, "Location: http://x/c", "Location: https://localhost/y/c"},
		{"a regular expression", `location /a/ { proxy_pass http://BACKEND; proxy_redirect ~^http://([^/]+)(/.*)$ https://$1.z$2; }`, "Location: http://x/c", "Location: https://x.z/c"},
		{"the first that fits", `location /a/ { proxy_pass http://BACKEND; proxy_redirect http://x/ http://1/; proxy_redirect default; }`,
			"Location: http://BACKEND/c", "Location: http://localhost/c"},
		{"Refresh", `location /a/ { proxy_pass http://BACKEND; proxy_redirect http://x/ http://y/; }`, "Refresh: 5; URL=http://x/c", "Refresh: 5; URL=http://y/c"},
		{"cookie domain", `location /a/ { proxy_pass http://BACKEND; proxy_cookie_domain x.com $host; }`, "Set-Cookie: a=b; Domain=.X.com; Path=/", "Set-Cookie: a=b; Domain=.localhost; Path=/"},
		{"cookie path", `location /a/ { proxy_pass http://BACKEND; proxy_cookie_path ~^/in(.*)$ /out$1; proxy_cookie_path / /other/; }`,
			"Set-Cookie: a=b; path=/in/c;secure", "Set-Cookie: a=b; path=/out/c; secure"},
		{"cookie flags", `location /a/ { proxy_pass http://BACKEND; proxy_cookie_flags ~^x secure; proxy_cookie_flags A secure nohttponly samesite=lax; }`,
			"Set-Cookie: a=b; HttpOnly;SameSite=strict", "Set-Cookie: a=b; SameSite=Lax; Secure"},
		{"cookie flags that are right", `location /a/ { proxy_pass http://BACKEND; proxy_cookie_flags ~. secure $arg_none; }`,
			"Set-Cookie: a=b;secure", "Set-Cookie: a=b;secure"},
		{"cookie without a match", `location /a/ { proxy_pass http://BACKEND; proxy_cookie_path /x /y; }`, "Set-Cookie: a=b;path=/in", "Set-Cookie: a=b;path=/in"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var header string
			b := webtest.Serve(t, func(p *webtest.Peer) {
				if p.Head() != "" {
					p.Say("HTTP/1.1 302 Found\r\n" + header + "\r\nContent-Length: 0\r\n\r\n")
				}
			})
			header = strings.ReplaceAll(test.header, "BACKEND", b.Addr)
			s := b.Proxied(modules, test.conf)
			if got, want := s.Get("/a/"), webtest.CRLF+strings.ReplaceAll(test.want, "BACKEND", b.Addr)+webtest.CRLF; !strings.Contains(got, want) {
				t.Errorf("%q lacks %q", got, want)
			}
		})
	}
}

// TestFailures: what a client is told, and the log, when a server fails.
func TestFailures(t *testing.T) {
	close := func(p *webtest.Peer) {}
	says := func(raw string) func(p *webtest.Peer) {
		return func(p *webtest.Peer) {
			if p.Head() != "" {
				p.Say(strings.ReplaceAll(raw, "|", webtest.CRLF))
			}
		}
	}
	silent := func(p *webtest.Peer) { p.Head(); p.Head() }
	resets := func(raw string) func(p *webtest.Peer) {
		return func(p *webtest.Peer) {
			p.Head()
			p.Say(raw)
			p.Conn.(*net.TCPConn).SetLinger(0) // closing resets then
		}
	}
	tests := []struct {
		name, conf string
		script     func(p *webtest.Peer)
		status     int
		log        string
	}{
		{"resets", ``, resets(""), 502, "recv() failed (104: Connection reset by peer) while reading response header from upstream, client: "},
		{"resets within the body", ``, resets("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), 200,
			"recv() failed (104: Connection reset by peer) while reading upstream, client: "},
		{"closes at once", ``, func(p *webtest.Peer) { p.Head(); close(p) }, 502, "upstream prematurely closed connection while reading response header from upstream, client: "},
		{"closes within the head", ``, says("HTTP/1.1 200 OK|A: b"), 502, "upstream prematurely closed connection while reading response header from upstream"},
		{"speaks something else", ``, says("220 smtp ready|"), 502, "upstream sent no valid HTTP/1.0 header"},
		{"both framings", ``, says("HTTP/1.1 200 OK|Content-Length: 1|Transfer-Encoding: chunked||"), 502, "\"Content-Length\" and \"Transfer-Encoding\" headers at the same time"},
		{"a head too big", ``, says("HTTP/1.1 200 OK|A: " + strings.Repeat("a", 4096) + "||"), 502, "upstream sent too big header while reading response header from upstream"},
		{"a bigger head with a bigger buffer", `proxy_buffer_size 8k; proxy_buffers 8 8k;`, says("HTTP/1.1 204 OK|A: " + strings.Repeat("a", 4096) + "||"), 204, ""},
		{"says nothing", `proxy_read_timeout 100ms;`, silent, 504, "upstream timed out (110: Connection timed out) while reading response header from upstream"},
		{"switches protocols unasked", ``, says("HTTP/1.1 101 Switching Protocols||"), 101, "upstream switched protocols without being asked"},
		{"hints for ever", ``, says(strings.Repeat("HTTP/1.1 100 Continue||", 100)), 502, "too many interim responses"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := webtest.Serve(t, test.script)
			s := b.Proxied(modules, test.conf)
			if got := s.Get("/x"); !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", test.status)) {
				t.Errorf("got %q, want %d", got, test.status)
			}
			if test.log != "" {
				s.Logged(test.log)
			}
		})
	}
}
