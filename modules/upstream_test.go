package modules_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"starling/lib/resolver/resolvertest"
	"starling/lib/testkit"
	"starling/modules/web/core"
	"starling/modules/web/headers"
	"starling/modules/web/memcached"
	"starling/modules/web/proxy"
	"starling/modules/web/rewrite"
	"starling/modules/web/upstream"
	"starling/web"
	"starling/web/webtest"
)

// families are those of which the tests speak; with all of them an access log would be written.
var families = []*web.Module{&core.Module, &rewrite.Module, &upstream.Module, &proxy.Module, &memcached.Module, &headers.Module}

// fleet are backends that answer as their handlers say; a name ("a") in a configuration stands for its address.
type fleet map[string]*node

type node struct {
	addr     string
	accepted atomic.Int32
	served   atomic.Int32
}

// backend starts a server that reads requests off a connection, bodies included, and answers each with what handler
// returns; "" closes the connection.
func (f fleet) backend(t testing.TB, name string, handler func(r *http.Request) string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{addr: l.Addr().String()}
	f[name] = n
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.accepted.Add(1)
			go n.serve(c, handler)
		}
	}()
}

func (n *node) serve(c net.Conn, handler func(r *http.Request) string) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(webtest.Patience))
	for in := bufio.NewReader(c); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		n.served.Add(1)
		answer := handler(r)
		if answer == "" {
			return
		}
		io.WriteString(c, answer)
	}
}

// says makes a 200 with a body and perhaps headers.
func says(body string, headers ...string) func(*http.Request) string {
	return func(*http.Request) string { return reply(200, body, headers...) }
}

func reply(status int, body string, headers ...string) string {
	all := ""
	for _, h := range headers {
		all += h + "\r\n"
	}
	return fmt.Sprintf("HTTP/1.1 %d Said\r\nContent-Length: %d\r\n%s\r\n%s", status, len(body), all, body)
}

// dead gives a name to an address where nobody listens.
func (f fleet) dead(t testing.TB, name string) {
	t.Helper()
	f[name] = &node{addr: testkit.FreeAddress(t)}
}

// start runs a configuration; {name} stands for a backend's address.
func (f fleet) start(t testing.TB, text string, options ...webtest.Option) *webtest.Server {
	t.Helper()
	return webtest.Start(t, families, f.expand(text), options...)
}

func (f fleet) expand(text string) string {
	for name, n := range f {
		text = strings.ReplaceAll(text, "{"+name+"}", n.addr)
	}
	return text
}

// run sends GETs over one connection and joins the bodies.
func run(c *webtest.Client, n int, headers ...string) string {
	got := ""
	for range n {
		got += get(c, headers...).Text
	}
	return got
}

func get(c *webtest.Client, headers ...string) webtest.Response {
	return c.Do("GET / HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n")
}

// TestBalancing: the order in which servers are asked.
func TestBalancing(t *testing.T) {
	f := fleet{}
	for _, name := range []string{"a", "b", "c"} {
		f.backend(t, name, says(name))
	}
	f.dead(t, "dead")
	tests := []struct{ name, servers, want string }{
		{"round robin", `server {a}; server {b}; server {c};`, "abcabc"},
		{"weights", `server {a} weight=2; server {b};`, "abaaba"},
		{"down", `server {a} down; server {b};`, "bbbbbb"},
		{"backup", `server {dead}; server {b} backup;`, "bbbbbb"},
		{"a dead one is passed over", `server {dead}; server {b};`, "bbbbbb"},
		{"hash of one key", `hash constant; server {a}; server {b};`, ""},
		{"consistent hash of one key", `hash $uri consistent; server {a}; server {b};`, ""},
		{"ip_hash", `ip_hash; server {a}; server {b};`, ""},
		{"least_conn", `least_conn; server {a}; server {b};`, "ababab"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := f.start(t, `upstream u { `+test.servers+` } server { location / { proxy_pass http://u; } }`)
			got := run(s.Client(), 6)
			if test.want == "" && got != strings.Repeat(got[:1], 6) || test.want != "" && got != test.want {
				t.Errorf("asked %s, want %s", got, test.want)
			}
		})
	}
}

// TestKeepAlive: connections to servers are used again, within bounds.
func TestKeepAlive(t *testing.T) {
	for _, test := range []struct {
		conf string
		want int32
	}{
		{``, 1}, {`keepalive 0;`, 6}, {`keepalive 1; keepalive_requests 2;`, 3},
	} {
		f := fleet{}
		f.backend(t, "a", says("a"))
		s := f.start(t, `upstream u { server {a}; `+test.conf+` } server { location / { proxy_pass http://u; } }`)
		run(s.Client(), 6)
		if got := f["a"].accepted.Load(); got != test.want {
			t.Errorf("%q: %d connections, want %d", test.conf, got, test.want)
		}
	}
}

// TestNoReuseBehindABodiedHint: a server that speaks of a body in a 103 may send one, which must not be the next
// request's answer.
func TestNoReuseBehindABodiedHint(t *testing.T) {
	for hint, want := range map[string]int32{
		"Link: </a>": 1, "Content-Length: 0": 1, "Content-Length: 5": 3, "Transfer-Encoding: chunked": 3, "Connection: close": 3,
	} {
		f := fleet{}
		f.backend(t, "a", func(*http.Request) string {
			return "HTTP/1.1 103 Early Hints\r\n" + hint + "\r\n\r\n" + reply(200, "a")
		})
		s := f.start(t, `upstream u { server {a}; } server { location / { proxy_pass http://u; } }`)
		if got, connections := run(s.Client(), 3), f["a"].accepted.Load(); got != "aaa" || connections != want {
			t.Errorf("%s: %q over %d connections, want %d", hint, got, connections, want)
		}
	}
}

// TestADeadKeptConnectionIsNoFailure: the server hung up after its answer; the next request is sent anew.
func TestADeadKeptConnectionIsNoFailure(t *testing.T) {
	f, asked := fleet{}, atomic.Int32{}
	f.backend(t, "a", func(*http.Request) string {
		if asked.Add(1)%2 == 0 {
			return "" // closes without an answer, on a connection that has served before
		}
		return reply(200, "a")
	})
	s := f.start(t, `upstream u { server {a}; } server { location / { proxy_pass http://u; } }`)
	if got := run(s.Client(), 3); got != "aaa" {
		t.Errorf("got %q", got)
	}
}

// TestNextUpstream: when another server is tried, and what is told of it.
func TestNextUpstream(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
	const plain = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	tests := []struct {
		name, conf, request string
		status              int
		addrs, statuses     string
	}{
		{"a refused connection", `proxy_pass http://dead;`, plain, 200, "{dead}, {ok}", "502, 200"},
		{"a refused connection, POST", `proxy_pass http://dead;`, post, 200, "{dead}, {ok}", "502, 200"},
		{"no answer", `proxy_pass http://closes;`, plain, 200, "{closes}, {ok}", "502, 200"},
		{"no answer, POST", `proxy_pass http://closes;`, post, 502, "{closes}", "502"},
		{"no answer, POST, asked for", `proxy_pass http://closes; proxy_next_upstream error non_idempotent;`, post, 200, "{closes}, {ok}", "502, 200"},
		{"off", `proxy_pass http://closes; proxy_next_upstream off;`, plain, 502, "{closes}", "502"},
		{"a status", `proxy_pass http://sick;`, plain, 503, "{sick}", "503"},
		{"a status, asked for", `proxy_pass http://sick; proxy_next_upstream http_503;`, plain, 200, "{sick}, {ok}", "503, 200"},
		{"a status of the last", `proxy_pass http://allsick; proxy_next_upstream http_503;`, plain, 503, "{sick}, {sick2}", "503, 503"},
		{"an answer that is none", `proxy_pass http://odd; proxy_next_upstream invalid_header;`, plain, 200, "{odd}, {ok}", "502, 200"},
		{"as often as allowed", `proxy_pass http://dead; proxy_next_upstream_tries 1;`, plain, 502, "{dead}", "502"},
	}
	f := fleet{}
	f.dead(t, "dead")
	f.backend(t, "ok", says("ok"))
	f.backend(t, "closes", func(*http.Request) string { return "" })
	f.backend(t, "sick", func(*http.Request) string { return reply(503, "sick") })
	f.backend(t, "sick2", func(*http.Request) string { return reply(503, "sick2") })
	f.backend(t, "odd", func(*http.Request) string { return "what?\r\n\r\n" })
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			groups := `upstream allsick { server {sick}; server {sick2}; }`
			for _, name := range []string{"dead", "closes", "sick", "odd"} {
				groups += ` upstream ` + name + ` { server {` + name + `}; server {ok}; }`
			}
			s := f.start(
				t,
				groups+` server { location / { add_header X-Addr $upstream_addr always; add_header X-Status $upstream_status always; `+test.conf+` } }`,
			)
			r := s.Client().Do(test.request)
			if r.StatusCode != test.status || r.Header.Get("X-Addr") != f.expand(test.addrs) || r.Header.Get("X-Status") != test.statuses {
				t.Errorf("%d, asked %s, which said %s; want %d, %s, %s", r.StatusCode, r.Header.Get("X-Addr"), r.Header.Get("X-Status"),
					test.status, f.expand(test.addrs), test.statuses)
			}
		})
	}
}

// TestNoLiveServers: nobody is left to ask.
func TestNoLiveServers(t *testing.T) {
	s := fleet{}.start(t, `upstream u { server 127.0.0.1:1 down; server 127.0.0.1:2 down; } server { location / { proxy_pass http://u; } }`)
	if r := get(s.Client()); r.StatusCode != 502 {
		t.Errorf("%d", r.StatusCode)
	}
	if lines := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(
		lines,
		`[error] *1 no live upstreams while connecting to upstream, client: unix:, server: , request: "GET / HTTP/1.1", upstream: "http://u/", host: "x"`,
	) {
		t.Error(lines)
	}
}

// TestSticky: clients stay with their server.
func TestSticky(t *testing.T) {
	f := fleet{}
	for _, name := range []string{"a", "b"} {
		f.backend(t, name, func(r *http.Request) string {
			return reply(200, name, "Set-Cookie: session="+name+r.Header.Get("X-Session")+"; Path=/")
		})
	}
	t.Run("learn", func(t *testing.T) {
		s := f.start(t, `upstream u { server {a}; server {b}; sticky learn zone=s:1m create=$upstream_cookie_session lookup=$cookie_session; }
			server { location / { proxy_pass http://u; } }`)
		c := s.Client()
		if got := run(c, 2); got != "ab" {
			t.Fatal(got)
		}
		if got := run(c, 3, "Cookie: session=b") + run(c, 2, "Cookie: x=y; session=a"); got != "bbbaa" {
			t.Errorf("the sessions led to %s", got)
		}
	})
	t.Run("cookie", func(t *testing.T) {
		s := f.start(t, `upstream u { server {a} route=one; server {b}; sticky cookie srv expires=1h domain=.x.y path=/ httponly secure samesite=lax; }
			server { location / { proxy_pass http://u; proxy_hide_header Set-Cookie; } }`)
		c := s.Client()
		set := get(c).Header.Get("Set-Cookie")
		if !strings.HasPrefix(set, "srv=one; expires=") || !strings.HasSuffix(set, "; max-age=3600; domain=.x.y; httponly; secure; samesite=lax; path=/") {
			t.Error(set)
		}
		if got := run(c, 4, "Cookie: srv=one"); got != "aaaa" {
			t.Error(got)
		}
	})
	t.Run("route", func(t *testing.T) {
		s := f.start(t, `upstream u { server {a} route=one; server {b} route=two; sticky route $arg_none $http_x_route; }
			server { location / { proxy_pass http://u; } }`)
		if got := run(s.Client(), 4, "X-Route: two"); got != "bbbb" {
			t.Error(got)
		}
	})
}

// TestASessionSurvivesAReload, unless another upstream uses its zone.
func TestASessionSurvivesAReload(t *testing.T) {
	f := fleet{}
	f.backend(t, "a", says("a", "Set-Cookie: session=1"))
	f.backend(t, "b", says("b"))
	conf := `upstream u { server {b}; server {a}; sticky learn zone=s:1m create=$upstream_cookie_session lookup=$cookie_session; }
		server { location / { proxy_pass http://u; } }`
	before := f.start(t, conf)
	run(before.Client(), 2)
	after := f.start(t, conf, webtest.After(before))
	if got := run(after.Client(), 3, "Cookie: session=1"); got != "aaa" {
		t.Errorf("after the reload the session led to %s", got)
	}
	_, err := webtest.Load(t, families, f.expand(strings.NewReplacer("upstream u", "upstream v", "http://u", "http://v").Replace(conf)), webtest.After(after))
	want := `sticky zone "s" is used in upstream "v" while previously it was used in upstream "u" in /test.conf:1`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestResolve: a name's servers come from the DNS at run time.
func TestResolve(t *testing.T) {
	dns := resolvertest.Start(t)
	f := fleet{}
	f.backend(t, "a", says("a"))
	_, port, _ := net.SplitHostPort(f["a"].addr)
	dns.Host("app.example.com", 60, "127.0.0.1")
	s := f.start(t, `resolver `+dns.Addr+` valid=1s; upstream u { zone u 64k; server app.example.com:`+port+` resolve; }
		server { location / { proxy_pass http://u; } location /by/ { set $to app.example.com; proxy_pass http://$to:`+port+`/; } }`)
	var c *webtest.Client
	testkit.Eventually(t, webtest.Patience, func() error { // until the first answer of the DNS has come
		c = s.Client() // one connection is closed after so many requests
		if r := get(c); r.StatusCode != 200 {
			return fmt.Errorf("%d %q", r.StatusCode, s.Log.Lines())
		}
		return nil
	})
	if r := c.Do("GET /by/ HTTP/1.1\r\nHost: x\r\n\r\n"); r.Text != "a" {
		t.Errorf("%d %q %v", r.StatusCode, r.Text, s.Log.Lines())
	}
}

// TestUpstreamErrors: what nginx refuses, in its words.
func TestUpstreamErrors(t *testing.T) {
	const at = " in /test.conf:1"
	const server = `server 127.0.0.1;`
	learns := func(zone string) string {
		return `upstream u { ` + server + ` sticky learn ` + zone + ` create=$uri lookup=$uri; }`
	}
	tests := []struct{ conf, want string }{
		{`upstream u { }`, `no servers are inside upstream` + at},
		{`upstream u { ` + server + ` } upstream U { ` + server + ` }`, `duplicate upstream "U"` + at},
		{`upstream u { ` + server + ` } server { location / { proxy_pass http://u:8080; } }`, `upstream "u" may not have port 8080` + at},
		{`upstream u { server nowhere..invalid; }`, `host not found in upstream "nowhere..invalid"` + at},
		{`server { location / { proxy_pass http://nowhere..invalid; } }`, `host not found in upstream "nowhere..invalid"` + at},
		{`upstream u { server nowhere..invalid:90; }`, `host not found in upstream "nowhere..invalid:90"` + at},
		{`server { location / { proxy_pass http://nowhere..invalid:90/x?y; } }`, `host not found in upstream "nowhere..invalid"` + at},
		{`upstream u { server 127.0.0.1:99999; }`, `invalid port in upstream "127.0.0.1:99999"` + at},
		{`upstream u { server 127.0.0.1/x; }`, `invalid host in upstream "127.0.0.1/x"` + at},
		{`upstream u { server 127.0.0.1 weight=0; }`, `invalid parameter "weight=0"` + at},
		{`upstream u { server 127.0.0.1 max_fails=x; }`, `invalid parameter "max_fails=x"` + at},
		{`upstream u { server 127.0.0.1 bogus; }`, `invalid parameter "bogus"` + at},
		{`upstream u { server 127.0.0.1 route=; }`, `route is empty` + at},
		{`upstream u { server 127.0.0.1 "route=a;b"; }`, `invalid route "a;b", ` + strings.TrimPrefix(badRoute, "invalid route, ") + at},
		{`upstream u { server 127.0.0.1 "route=a b" backup; }`, `invalid route "a b", ` + strings.TrimPrefix(badRoute, "invalid route, ") + at},
		{`upstream u { server a.b resolve; }`, `resolving names at run time requires upstream "u" in /test.conf:1 to be in shared memory` + at},
		{`upstream u { zone u 64k; server a.b resolve; }`, `no resolver defined to resolve names at run time in upstream "u"` + at},
		{`upstream u { server 127.0.0.1 backup; }`, `no servers in upstream "u"` + at},
		{`upstream u { zone u 1k; ` + server + ` }`, `zone "u" is too small` + at},
		{`upstream u { ip_hash; server 127.0.0.1 backup; }`, `balancing method does not support parameter "backup"` + at},
		{`upstream u { ` + server + ` queue 0; }`, `invalid value "0" in "queue" directive` + at},
		{`upstream u { ` + server + ` queue x; }`, `invalid value "x" in "queue" directive` + at},
		{`upstream u { ` + server + ` queue 1 timeout=0; }`, `invalid parameter "timeout=0"` + at},
		{`upstream u { ` + server + ` queue 1; queue 2; }`, `"queue" directive is duplicate` + at},
		{`upstream u { ` + server + ` least_time header; least_time header; }`, `"least_time" directive is duplicate` + at},
		{`upstream u { ` + server + ` sticky learn create=$a lookup=$b; }`, `"sticky" directive "zone" parameter is not specified` + at},
		{learns(`zone=z`), `"sticky" directive zone size is not specified` + at},
		{learns(`zone=`), `"sticky" directive zone size is not specified` + at},
		{learns(`zone=:1x`), `"sticky" directive zone name is not specified` + at},
		{learns(`zone=:1k`), `"sticky" directive zone name is not specified` + at},
		{learns(`zone=z:1x`), `"sticky" directive invalid zone size` + at},
		{learns(`zone=z:`), `"sticky" directive invalid zone size` + at},
		{learns(`zone=z:31k`), `"sticky" directive zone is too small` + at},
		{
			learns(`zone=z:32k`) + ` upstream v { ` + server + ` sticky learn zone=z:32k create=$uri lookup=$uri; }`,
			`sticky zone "z" is already used in upstream "u"` + at,
		},
		{learns(`zone=z:32k`) + ` upstream v { ` + server + ` sticky learn zone=z:64k create=$uri lookup=$uri; }`,
			`the size 65536 of shared memory zone "z" conflicts with already declared size 32768` + at},
		{learns(`zone=z:32k sync=soon`), `"sticky" directive invalid sync time` + at},
		{learns(`zone=z:32k sync=11s`), `"sticky" directive invalid sync time` + at},
		{`upstream u { ` + server + ` sticky learn zone=z:1m lookup=$uri; }`, `"sticky" directive "create" parameter is not specified` + at},
		{`upstream u { ` + server + ` sticky cookie a samesite=loose; }`, `"sticky" directive invalid "samesite" parameter value` + at},
		{`upstream u { ` + server + ` sticky cookie a; sticky route $uri; }`, `"sticky" directive is duplicate` + at},
	}
	for _, test := range tests {
		_, err := webtest.Load(t, families, test.conf)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s\ngot  %v\nwant %s", test.conf, err, test.want)
		}
	}
}
