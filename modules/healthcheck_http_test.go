package modules_test

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"starling/admin"
	"starling/modules/stream/core"
	"starling/modules/stream/healthcheck"
	"starling/modules/stream/proxy"
	"starling/modules/stream/upstream"
	"starling/stream/streamtest"
	"starling/web/webtest"
)

// TestHealthCheckProblems: what of a configuration is refused.
func TestHealthCheckProblems(t *testing.T) {
	check := func(parameters string) string {
		return "upstream u { zone u 64k; server 127.0.0.1:1; }\nserver { location / { proxy_pass http://u;\nhealth_check " + parameters + "; } }"
	}
	match := func(line string) string { return "match m {\n" + line + "\n}" + check("match=m") }
	for _, c := range []struct{ text, want string }{
		{check("interval=0"), `invalid parameter "interval=0" in /test.conf:3`},
		{check("interval=x"), `invalid parameter "interval=x"`},
		{check("jitter=x"), `invalid parameter "jitter=x"`},
		{check("fails=0"), `invalid parameter "fails=0"`},
		{check("passes=-1"), `invalid parameter "passes=-1"`},
		{check("port=0"), `invalid parameter "port=0"`},
		{check("port=65536"), `invalid parameter "port=65536"`},
		{check("uri="), `invalid parameter "uri="`},
		{check(`"uri=/a b"`), `invalid parameter "uri=/a b"`},
		{check("keepalive_time=x"), `invalid parameter "keepalive_time=x"`},
		{check("persistent"), `"persistent" requires "mandatory"`},
		{check("udp"), `invalid parameter "udp"`},
		{check("match="), `invalid parameter "match="`},
		{check("match=none"), `match "none" is not defined in /test.conf:3`},
		{`upstream u { server 127.0.0.1:1; } server { location / { proxy_pass http://u; health_check; } }`,
			`"health_check" requires upstream "u" in /test.conf:1 to be in shared memory: add a "zone" directive to it`},
		{`server { location / { proxy_pass http://127.0.0.1:1; health_check; } }`,
			`"health_check" requires an "upstream" block: "127.0.0.1" is an address`},
		{`server { location / { proxy_pass http://$arg_a; health_check; } }`,
			`"health_check" cannot be used with variables in the address of the servers`},
		{`server { location / { health_check; } }`, `"health_check" requires a directive in the same location`},
		{match("status;"), `invalid number of arguments in "status" directive in /test.conf:2`},
		{match("status !;"), `invalid number of arguments in "status" directive`},
		{match("status 99;"), `invalid status "99": it must be 100 to 599`},
		{match("status 600;"), `invalid status "600": it must be 100 to 599`},
		{match("status 200 ! 300;"), `invalid status "!"`},
		{match("status 000-999;"), `invalid status "000-999"`},
		{match("status 100-600;"), `invalid status "100-600"`},
		{match("status ! 599-999;"), `invalid status "599-999"`},
		{match("status 1000;"), `invalid status "1000"`},
		{match("status 300-200;"), `invalid status "300-200"`},
		{match("status 200-;"), `invalid status "200-"`},
		{match("status 200;\nstatus 200;"), `"status" directive is duplicate in /test.conf:3`},
		{match("header;"), `invalid number of arguments in "header" directive`},
		{match("header !;"), `invalid number of arguments in "header" directive`},
		{match("header a b;"), `invalid number of arguments in "header" directive`},
		{match("header a > b;"), `invalid operator ">"`},
		{match("header a ~ (;"), `missing closing parenthesis`},
		{match("body a;"), `invalid number of arguments in "body" directive`},
		{match("body = a;"), `invalid operator "="`},
		{match("body ~ a;\nbody ~ b;"), `"body" directive is duplicate`},
		{match("require;"), `invalid number of arguments in "require" directive`},
		{match("require a;"), `invalid variable name "a"`},
		{match("require\n$none;"), `unknown "none" variable in /test.conf:3`},
		{match("color red;"), `unknown directive "color" in "match" in /test.conf:2`},
		{"match m { }\nmatch m { }" + check(""), `duplicate match "m" in /test.conf:2`},
	} {
		_, err := webtest.Load(t, checkedFamilies, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot %v, want %s", c.text, err, c.want)
		}
	}
}

func TestStreamHealthCheckProblems(t *testing.T) {
	server := func(zone, text string) string {
		return "upstream u { " + zone + " server 127.0.0.1:1; }\nserver { listen 127.0.0.1:1;\n" + text + " }"
	}
	match := func(line string) string { return "match m {\n" + line + "\n}" }
	for _, c := range []struct{ text, want string }{
		{server("zone u 64k;", "proxy_pass u; health_check uri=/;"), `invalid parameter "uri=/"`},
		{server("zone u 64k;", "proxy_pass u; health_check match=none;"), `match "none" is not defined in /test.conf:3`},
		{server("", "proxy_pass u; health_check;"), `requires upstream "u" in /test.conf:1 to be in shared memory`},
		{server("", "proxy_pass 127.0.0.1:1; health_check;"), `requires an "upstream" block`},
		{server("", "proxy_pass $remote_addr:1; health_check;"), `cannot be used with variables`},
		{match("send a b;"), `invalid number of arguments in "send" directive in /test.conf:2`},
		{match("send a;\nsend b;"), `"send" directive is duplicate in /test.conf:3`},
		{match(`send \x1;`), `invalid hexadecimal literal "\x1"`},
		{match(`expect \xzz;`), `invalid hexadecimal literal "\xzz"`},
		{match("expect = a;"), `invalid operator "="`},
		{match("expect a b c;"), `invalid number of arguments in "expect" directive`},
		{match("expect a;\nexpect b;"), `"expect" directive is duplicate`},
		{match("expect ~ (;"), `missing closing parenthesis`},
		{match("status 200;"), `unknown directive "status" in "match"`},
	} {
		got := streamtest.Problem(t, "stream { "+c.text+" }", &core.Module, &upstream.Module, &proxy.Module, &healthcheck.Module)
		if !strings.Contains(got, c.want) {
			t.Errorf("%s\ngot %s, want %s", c.text, got, c.want)
		}
	}
}

// TestHealthCheckBounds: servers that are slow, silent or endless are unhealthy after proxy_read_timeout.
func TestHealthCheckBounds(t *testing.T) {
	drip := func(head, drop string) func(*webtest.Peer) {
		return func(p *webtest.Peer) {
			p.Head()
			p.Say(head)
			for {
				if _, err := p.Write([]byte(drop)); err != nil {
					return
				}
				<-time.After(time.Millisecond) // a slow server, which the check must not wait for
			}
		}
	}
	bound := func(t *testing.T, server func(*webtest.Peer), timeout, want string) {
		b := webtest.Serve(t, server)
		s := fleet{"a": {addr: b.Addr}}.checked(t, `match m { body ~ z; } upstream u { zone u 64k; server {a}; }
			server { location / { proxy_pass http://u; proxy_read_timeout `+timeout+`; proxy_buffer_size 1m; proxy_buffers 8 1m; health_check match=m; } }`)
		got := s.AwaitLog("peer is")
		if !strings.Contains(got, "peer is unhealthy while "+want+",") || !strings.HasSuffix(got, ": upstream timed out (110: Connection timed out)") {
			t.Errorf("got %s", got)
		}
	}
	for _, c := range []struct {
		name   string
		server func(*webtest.Peer)
		want   string
	}{
		{"silent", func(p *webtest.Peer) { p.Head(); p.Head() }, "reading response header from upstream"},
		{"a head in drops", drip("HTTP/1.1 200 OK\r\n", "X: y\r\n"), "reading response header from upstream"},
		{"a body in drops", drip("HTTP/1.1 200 OK\r\n\r\n", "x"), "reading response body from upstream"},
		{"chunks in drops", drip("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"), "reading response body from upstream"},
	} {
		for _, timeout := range []string{"100ms", "1s"} { // the longer one lets the first looks need no goroutine
			t.Run(c.name+" for "+timeout, func(t *testing.T) {
				t.Parallel()
				bound(t, c.server, timeout, c.want)
			})
		}
	}
}

// TestHealthChecksOfSlowServers: what arrives late, and in pieces, counts.
func TestHealthChecksOfSlowServers(t *testing.T) {
	for _, c := range []struct{ name, first, rest string }{
		{"the response", "", page},
		{"most of the head", page[:10], page[10:]},
		{"the end of the head", page[:len(page)-6], page[len(page)-6:]},
		{"the body", page[:len(page)-5], page[len(page)-5:]},
		{"the end of the body", page[:len(page)-1], page[len(page)-1:]},
		{"what a check does not hold", "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 100<<10), "hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			others := make(chan struct{}, 1000)
			other := webtest.Serve(t, func(p *webtest.Peer) {
				p.Head()
				others <- struct{}{}
				p.Say(page)
			})
			slow := webtest.Serve(t, func(p *webtest.Peer) {
				p.Head()
				p.Say(c.first)
				for range 4 { // 200 ms: then a goroutine waits
					webtest.Receive(t, others)
				}
				p.Say(c.rest)
			})
			s := fleet{"slow": {addr: slow.Addr}, "other": {addr: other.Addr}}.checked(t, `
				match m { status 200; body ~ hello$; }
				upstream u { zone u 64k; server {slow}; } upstream o { zone o 64k; server {other}; }
				server { location /u/ { proxy_pass http://u; health_check mandatory match=m; }
				         location /o/ { proxy_pass http://o; health_check interval=50ms; } }`)
			if got := s.AwaitLog("peer is"); !strings.Contains(got, "peer is healthy while checking body") {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestHealthChecksKeepConnections for keepalive_time, and replace one that the server has closed.
func TestHealthChecksKeepConnections(t *testing.T) {
	for _, c := range []struct {
		name, keep string
		perConn    int // requests after which the server closes
		want       int32
	}{
		{"by default not", "", 100, 6},
		{"with a time", "keepalive_time=1h", 100, 1},
		{"that is over", "keepalive_time=0", 100, 6},
		{"until the server closes", "keepalive_time=1h", 3, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var connections atomic.Int32
			asked := make(chan int32, 1000) // the connections until then
			b := webtest.Serve(t, func(p *webtest.Peer) {
				connections.Add(1)
				for range c.perConn {
					if p.Head() == "" {
						return
					}
					asked <- connections.Load() // before the answer, after which the next check can come
					p.Answer("ok")
				}
			})
			s := fleet{"a": {addr: b.Addr}}.checked(t, `upstream u { zone u 64k; server {a}; }
				server { location / { proxy_pass http://u; health_check interval=1ms `+c.keep+`; } }`)
			n := int32(0)
			for range 6 {
				n = webtest.Receive(t, asked)
			}
			if n != c.want {
				t.Errorf("%d connections for 6 checks", n)
			}
			for _, line := range s.Log.Lines() {
				if strings.Contains(line, "peer is") {
					t.Errorf("logged %s", line)
				}
			}
		})
	}
}

// TestHealthChecksOverTLS verify the server as the location does.
func TestHealthChecksOverTLS(t *testing.T) {
	b, ca := webtest.ServeTLS(t, "app.example", func(p *webtest.Peer) {
		if p.Head() != "" {
			p.Answer(p.TLS().ServerName)
		}
	})
	for _, c := range []struct{ text, want string }{
		{"", "healthy while checking status code"},
		{"proxy_ssl_server_name on; proxy_ssl_name app.example; #match=app", "healthy while checking body"},
		{"proxy_ssl_verify on; proxy_ssl_trusted_certificate /ca.pem; proxy_ssl_name app.example;", "healthy while checking status code"},
		{"proxy_ssl_verify on; proxy_ssl_trusted_certificate /ca.pem; proxy_ssl_name other.example;", "unhealthy while SSL handshaking to upstream"},
	} {
		text, match, _ := strings.Cut(c.text, "#")
		s := fleet{"a": {addr: b.Addr}}.checked(t, `match app { body ~ ^app.example$; } upstream u { zone u 64k; server {a}; }
			server { location / { proxy_pass https://u; `+text+` health_check mandatory `+match+`; } }`, webtest.File("/ca.pem", string(ca.PEM)))
		if got := s.AwaitLog("peer is"); !strings.Contains(got, "peer is "+c.want) {
			t.Errorf("%s: got %s", c.text, got)
		}
	}
}

// TestHealthCheckStates: an unhealthy server gets no requests, the API says so, and a reload does not forget it.
func TestHealthCheckStates(t *testing.T) {
	f := fleet{}
	f.backend(t, "a", says("a"))
	f.dead(t, "b")
	text := `upstream u { zone u 64k; server {a} max_fails=0; server {b} max_fails=0; }
		server { location / { proxy_pass http://u; proxy_next_upstream off; health_check interval=1h; } }`
	s := f.checked(t, text)
	s.AwaitLog("peer is unhealthy")
	if got := run(s.Client(), 4); got != "aaaa" {
		t.Errorf("got %s", got)
	}
	type peer struct {
		State  string `json:"state"`
		Checks struct {
			Checks, Fails, Unhealthy int
			LastPassed               *bool `json:"last_passed"`
		} `json:"health_checks"`
	}
	show := func(s *webtest.Server) (a, b peer) {
		var all map[string]struct{ Peers []peer }
		text, err := json.Marshal(s.Resource("http/upstreams").Handle(&admin.Call{Method: "GET"}).Body)
		if err == nil {
			err = json.Unmarshal(text, &all)
		}
		if err != nil || len(all["u"].Peers) != 2 {
			t.Fatalf("%v: %s", err, text)
		}
		return all["u"].Peers[0], all["u"].Peers[1]
	}
	_, b := show(s)
	if b.State != "unhealthy" || b.Checks.Checks != 1 || b.Checks.Fails != 1 || b.Checks.Unhealthy != 1 || *b.Checks.LastPassed {
		t.Errorf("got %+v", b)
	}
	next := f.checked(t, text, webtest.After(s))
	if got := run(next.Client(), 4); got != "aaaa" {
		t.Errorf("after a reload: %s", got)
	}
	if a, b := show(next); a.State != "up" || b.State != "unhealthy" {
		t.Errorf("after a reload: %+v %+v", a, b)
	}
}

// TestHealthChecksOfMemcached: the key comes from the URI.
func TestHealthChecksOfMemcached(t *testing.T) {
	asked := make(chan string, 10)
	b := webtest.Serve(t, func(p *webtest.Peer) {
		line, _ := p.R.ReadString('\n')
		asked <- line
		p.Say("VALUE /alive 0 2\r\nok\r\nEND\r\n")
	})
	s := fleet{"a": {addr: b.Addr}}.checked(t, `map $uri $memcached_key { default $uri; } match m { body ~ ^ok$; }
		upstream u { zone u 64k; server {a}; }
		server { location / { memcached_pass u; health_check mandatory uri=/alive match=m; } }`)
	if got := webtest.Receive(t, asked); got != "get /alive\r\n" {
		t.Errorf("got %q", got)
	}
	if got := s.AwaitLog("peer is"); !strings.Contains(got, "peer is healthy while checking body") {
		t.Errorf("got %s", got)
	}
}
