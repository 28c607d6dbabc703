package modules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/lib/testkit"
	"starling/modules/web/charset"
	"starling/modules/web/core"
	"starling/modules/web/memcached"
	"starling/modules/web/proxy"
	"starling/modules/web/rewrite"
	"starling/modules/web/static"
	"starling/modules/web/upstream"
	"starling/web"
	"starling/web/webtest"
)

var forwardFamilies = []*web.Module{&core.Module, &rewrite.Module, &upstream.Module, &proxy.Module, &memcached.Module, &charset.Module, &static.Module}

// TestMemcachedRanges: a value is served in parts too, without a directive, as in nginx.
func TestMemcachedRanges(t *testing.T) {
	b := webtest.Serve(t, func(p *webtest.Peer) {
		for {
			if _, err := p.R.ReadSlice('\n'); err != nil {
				return
			}
			p.Say("VALUE k 0 10\r\n0123456789\r\nEND\r\n")
		}
	})
	s := b.Behind(forwardFamilies, `set $memcached_key k; location / { memcached_pass BACKEND; }
		location /off { max_ranges 0; memcached_pass BACKEND; }`)
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nRange: bytes=2-4": "206 bytes 2-4/10 234", "GET / HTTP/1.1\r\nRange: bytes=-1": "206 bytes 9-9/10 9",
		"GET /off HTTP/1.1\r\nRange: bytes=2-4": "200  0123456789", "GET / HTTP/1.1\r\nRange: bytes=1-2,4-5": "200  0123456789",
	} {
		for range 2 { // the second one over the same connection to the server
			r := s.Client().Do(request + "\r\nHost: a\r\nConnection: close\r\n\r\n")
			if got := r.Status[:3] + " " + r.Header.Get("Content-Range") + " " + r.Text; got != want {
				t.Errorf("%q: got %s, want %s", request, got, want)
			}
		}
	}
}

// TestLimitRateSetToZero: the variable lifts the limit of the directive.
func TestLimitRateSetToZero(t *testing.T) {
	b := webtest.Answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n"+strings.Repeat("x", 600))
	s := b.Proxied(forwardFamilies, `limit_rate 1; set $limit_rate 0;`)
	if r := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); len(r.Text) != 600 { // in ten minutes, with a limit
		t.Errorf("%d bytes", len(r.Text))
	}
}

// TestControlsOfARedirect: the client gets the target of X-Accel-Redirect as the server's other headers say.
func TestControlsOfARedirect(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("\xc1 "+strings.Repeat("x", 600)), 0o600); err != nil {
		t.Fatal(err)
	}
	b := webtest.Answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: text/html\r\n"+
		"X-Accel-Redirect: /files/a\r\nX-Accel-Charset: utf-8\r\nX-Accel-Limit-Rate: 0\r\n\r\n")
	s := webtest.Start(t, forwardFamilies, `charset_map koi8-r utf-8 { c1 d0b0; } server { location / { proxy_pass http://`+b.Addr+`; }
		location /files/ { alias `+dir+`/; limit_rate 1; source_charset koi8-r; charset_types *; charset koi8-r; } }`)
	r := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if !strings.HasPrefix(r.Text, "а x") || r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%v %.10q", r.Header, r.Text)
	}
}

// TestTypeOfARedirect: the server's type stays with whatever answers, except an error page.
func TestTypeOfARedirect(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.html"), []byte("file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{"/text": "text/blah", "/files/a.html": "text/blah", "/missing": "text/html"} {
		b := webtest.Answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: text/blah\r\n"+
			"X-Accel-Redirect: "+target+"\r\n\r\n")
		s := webtest.Start(t, forwardFamilies, `server { location / { proxy_pass http://`+b.Addr+`; }
			location /text { default_type text/css; return 200 text; }
			location /missing { return 404; }
			location /files/ { alias `+dir+`/; } }`)
		if r := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); r.Header.Get("Content-Type") != want {
			t.Errorf("%s: %v %q, want %s", target, r.Header, r.Text, want)
		}
	}
}

// TestCharsetOfARedirect: as in nginx, the charset of a response with X-Accel-Redirect stays with whatever answers
// instead, error pages included, unless that names another.
func TestCharsetOfARedirect(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.html", "gone.css"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("file"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := webtest.Answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: text/x\r\n\r\n")
	bare := webtest.Answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	named := webtest.Answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: text/x; charset=koi8-r\r\n\r\n")
	for _, c := range []struct{ from, target, want string }{
		{"text/blah; charset=utf-8", "/text", "text/blah; charset=utf-8"},
		{"text/blah; charset=utf-8", "/files/a.html", "text/blah; charset=utf-8"},
		{"text/blah; charset=utf-8", "/files/none", "text/html; charset=utf-8"},
		{`text/blah; a=b; charset="utf-8"`, "/files/none", "text/html; charset=utf-8"},
		{"text/blah; charset=utf-8", "/page/none", "text/css; charset=utf-8"},
		{"text/blah; charset=utf-8", "/moved", "text/html; charset=utf-8"},
		{"text/blah; charset=utf-8", "/other", "text/x; charset=utf-8"},
		{"text/blah; charset=utf-8", "/bare", "text/blah; charset=utf-8"},
		{"text/blah; charset=utf-8", "/named", "text/x; charset=koi8-r"},
		{"text/blah; charset=utf-8", "/koi", "text/html; charset=utf-8"},
		{"text/blah; a=b", "/files/none", "text/html"},
		{"text/blah; a=b", "/koi", "text/html; charset=koi8-r"},
	} {
		b := webtest.Answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: "+c.from+"\r\nX-Accel-Redirect: "+c.target+"\r\n\r\n")
		s := webtest.Start(t, forwardFamilies, `types { text/css css; text/html html; } server {
			location / { proxy_pass http://`+b.Addr+`; }
			location /text { return 200 text; }
			location /moved { return 301 /x; }
			location /koi { charset koi8-r; return 404; }
			location /other { proxy_pass http://`+other.Addr+`; }
			location /bare { proxy_pass http://`+bare.Addr+`; }
			location /named { proxy_pass http://`+named.Addr+`; }
			location /page/ { alias `+dir+`/; error_page 404 /files/gone.css; }
			location /files/ { alias `+dir+`/; } }`)
		if r := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); r.Header.Get("Content-Type") != c.want {
			t.Errorf("%s to %s: %v %q, want %s", c.from, c.target, r.Header, r.Text, c.want)
		}
	}
}

// TestLastSelectedServer: the variables name the server that was selected last, and before each try that of the try.
func TestLastSelectedServer(t *testing.T) {
	b := webtest.Serve(t, func(p *webtest.Peer) { p.Answer(strings.ReplaceAll(p.Head(), "\r\n", " ")) })
	_, port, _ := strings.Cut(b.Addr, ":")
	socket := filepath.Join(testkit.SocketDir(t), "none")
	s := webtest.Start(t, families, `upstream named { server localhost:`+port+`; }
		upstream second { server unix:`+socket+`; server `+b.Addr+` backup; }
		server {
			add_header X-Last "[$upstream_last_addr][$upstream_last_server_name]" always;
			proxy_set_header X-Try "[$upstream_last_addr][$upstream_last_server_name]";
			location /named { proxy_pass http://named; }
			location /second { proxy_pass http://second; }
			location /socket { proxy_pass http://unix:`+socket+`; }
			location /none { return 204; } }`)
	for target, want := range map[string]string{
		"/named": "[127.0.0.1][localhost]", "/second": "[127.0.0.1][127.0.0.1]", "/socket": "[unix:" + socket + "][unix:" + socket + "]", "/none": "[][]",
	} {
		r := s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")
		if got := r.Header.Get("X-Last"); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
		if r.Status[:3] == "200" && !strings.Contains(r.Text, " X-Try: "+want+" ") {
			t.Errorf("%s: the server got %s", target, r.Text)
		}
	}
}

// TestTheRequestIsMadeForEachServer, so neither proxy_request_dynamic nor proxy_bind_dynamic needs an effect: variables
// in the head, in the body and in the local address can depend on the server.
func TestTheRequestIsMadeForEachServer(t *testing.T) {
	refused := webtest.Answers(t, "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n")
	socket := filepath.Join(testkit.SocketDir(t), "none")
	b := webtest.Serve(t, func(p *webtest.Peer) {
		head, body := p.Request()
		p.Answer(head + body)
	})
	s := webtest.Start(t, families, `upstream u { server unix:`+socket+`; server `+refused.Addr+`; server `+b.Addr+`; }
		server { location / { proxy_pass http://u; proxy_next_upstream error http_503; proxy_set_header X-Tried $upstream_addr;
			proxy_set_body "tried $upstream_addr"; proxy_bind "to $upstream_addr"; } }`)
	r := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	tried := "unix:" + socket + ", " + refused.Addr + ", " + b.Addr
	if !strings.Contains(r.Text, "X-Tried: "+tried+"\r\n") || !strings.HasSuffix(r.Text, "\r\n\r\ntried "+tried) {
		t.Errorf("the last server got %q", r.Text)
	}
	s.Logged(`invalid local address "to ` + tried + `"`)
}
