package modules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"starling/modules/web/healthcheck"
	"starling/modules/web/lookup"
	"starling/web/webtest"
)

var checkedFamilies = append(slices.Clone(families), &lookup.Module, &healthcheck.Module)

// checked starts a configuration with health checks.
func (f fleet) checked(t testing.TB, text string, options ...webtest.Option) *webtest.Server {
	t.Helper()
	return webtest.Start(t, checkedFamilies, f.expand(text), options...)
}

// page is an ordinary response.
const page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Two: a\r\nX-Two: b\r\nContent-Length: 5\r\n\r\nhello"

// matchRows are tests, what a server says, and the verdict.
var matchRows = []struct{ name, tests, says, want string }{
	{"by default a status below 400", "", page, "healthy while checking status code"},
	{"a redirect", "", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "healthy while checking status code"},
	{"an error", "", "HTTP/1.1 404 Not Found\r\n\r\n", "unhealthy while checking status code: status 404"},
	{"an unknown status", "", "HTTP/1.1 199 Odd\r\n\r\n", "unhealthy while reading response header from upstream: upstream prematurely closed connection"},
	{"one status", "status 200;", page, "healthy while checking status code"},
	{"two", "status 201 200;", page, "healthy while checking status code"},
	{"neither", "status 201 204;", page, "unhealthy while checking status code: status 200"},
	{"a range", "status 199-201;", page, "healthy while checking status code"},
	{"out of the range", "status 201-399 500;", page, "unhealthy while checking status code: status 200"},
	{"not that status", "status ! 500;", page, "healthy while checking status code"},
	{"not those", "status ! 301-303 200;", page, "unhealthy while checking status code: status 200"},
	{"a header", "header content-type;", page, "healthy while checking header"},
	{"that is missing", "header X-One;", page, `unhealthy while checking header: header "X-One" is missing`},
	{"that must be missing", "header ! X-One;", page, "healthy while checking header"},
	{"and is there", "header ! X-Two;", page, `unhealthy while checking header: header "X-Two" is there`},
	{"with a value", "header Content-Type = text/html;", page, "healthy while checking header"},
	{"one of several", "header X-Two = b;", page, "healthy while checking header"},
	{"with another", "header Content-Type = text/plain;", page, `unhealthy while checking header: header "Content-Type" has another value`},
	{"not with a value", "header Content-Type != text/plain;", page, "healthy while checking header"},
	{"none of several", "header X-Two != b;", page, `unhealthy while checking header: header "X-Two" has another value`},
	{"not with a value, and missing", "header X-One != a;", page, `unhealthy while checking header: header "X-One" is missing`},
	{"that matches", "header Content-Type ~ ^text;", page, "healthy while checking header"},
	{"that does not", "header Content-Type ~ ^html;", page, `unhealthy while checking header: header "Content-Type" has another value`},
	{"that must not match", "header Content-Type !~ ^html;", page, "healthy while checking header"},
	{"and does", "header Content-Type !~ html;", page, `unhealthy while checking header: header "Content-Type" has another value`},
	{"a body", "body ~ ^hel+o$;", page, "healthy while checking body"},
	{"another", "body ~ HELLO;", page, `unhealthy while checking body: the body does not match "HELLO"`},
	{"not a body", "body !~ maintenance;", page, "healthy while checking body"},
	{"and it is", "body !~ ell;", page, `unhealthy while checking body: the body matches "ell"`},
	{"a body in chunks", "body ~ ^hello$;", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "healthy while checking body"},
	{"a body until the end", "body ~ ^hello$;", "HTTP/1.1 200 OK\r\n\r\nhello", "healthy while checking body"},
	{"a body cut short", "body ~ hello;", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "unhealthy while reading response body from upstream: upstream prematurely closed connection"},
	{"several tests", "status 200; header Content-Type; body ~ l;", page, "healthy while checking body"},
	{"one of which fails", "status 200; header X-One; body ~ l;", page, `unhealthy while checking header: header "X-One" is missing`},
	{"a variable", "require $good;", page, "healthy while checking variables"},
	{"that is 0", "require $good $zero;", page, `unhealthy while checking variables: required variable $zero is "0"`},
	{"that is empty", "require $upstream_http_x_one;", page, `unhealthy while checking variables: required variable $upstream_http_x_one is ""`},
	{"in braces", "require ${zero};", page, `unhealthy while checking variables: required variable ${zero} is "0"`},
	{"that nobody sets", "require $good $sent_http_nope;", page, `unhealthy while checking variables: required variable $sent_http_nope is ""`},
	{"no tests", " ", page, "healthy while checking response"},
	{"garbage", "", "garbage\r\n\r\n", "unhealthy while reading response header from upstream: upstream sent no valid HTTP/1.0 header: \"garbage\""},
	{"nothing", "", "", "unhealthy while reading response header from upstream: upstream prematurely closed connection"},
	{"a switch of protocols", "", "HTTP/1.1 101 Switching\r\n\r\n", "unhealthy while reading response header from upstream: upstream switched protocols without being asked"},
	{"an interim response", "", "HTTP/1.1 103 Early\r\n\r\n" + page, "healthy while checking status code"},
	{"an endless head", "", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20), "unhealthy while reading response header from upstream: upstream sent too big header"},
	{"endless interim responses", "", strings.Repeat("HTTP/1.1 103 Early\r\n\r\n", 1000), "unhealthy while reading response header from upstream: upstream sent too many interim responses"},
	{"a large body", "body ~ 1$;", "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("1", 256<<10) + strings.Repeat("2", 1<<20), "healthy while checking body"},
}

// TestHealthCheckMatches: the first verdict on a server whose response is as given, with these tests. The text after
// "peer is" is that of NGINX Plus; the reason follows it.
func TestHealthCheckMatches(t *testing.T) {
	for _, c := range matchRows {
		t.Run(c.name, func(t *testing.T) {
			b := webtest.Serve(t, func(p *webtest.Peer) {
				if p.Head() != "" {
					p.Say(c.says)
				}
			})
			match, name := "", ""
			if c.tests != "" {
				match, name = "match=ok", "ok"
			}
			s := fleet{"a": {addr: b.Addr}}.checked(t, `
				map $upstream_status $good { 200 1; }
				map $upstream_status $zero { 200 0; }
				match ok { `+c.tests+` }
				upstream u { zone u 64k; server {a}; }
				server { location / { proxy_pass http://u; health_check mandatory `+match+`; } }`)
			step, reason, fails := strings.Cut(c.want, ": ")
			want := fmt.Sprintf("peer is %s, health check \"%s\" of peer %s in upstream \"u\"", step, name, b.Addr)
			if fails {
				want += ": " + reason
			}
			if got := s.AwaitLog("peer is"); !strings.HasSuffix(got, "] "+want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// TestHealthCheckRequests: a check is made as the location passes requests, without what a client would send.
func TestHealthCheckRequests(t *testing.T) {
	for _, c := range []struct{ name, location, want string }{
		{"by default", `health_check;`, "GET / HTTP/1.1\r\nHost: u\r\n\r\n"},
		{"with a URI", `health_check uri=/ping?a=b;`, "GET /ping?a=b HTTP/1.1\r\nHost: u\r\n\r\n"},
		{
			"with headers", `proxy_set_header Host app.example; proxy_set_header X-Client "[$remote_user$uri$args]";
				proxy_set_header X-None $http_x; proxy_set_header Connection ""; health_check uri=/a?b;`,
			"GET /a?b HTTP/1.1\r\nHost: app.example\r\nX-Client: [/ab]\r\n\r\n",
		},
		{"as HTTP/1.0", `proxy_http_version 1.0; health_check;`, "GET / HTTP/1.0\r\nHost: u\r\n\r\n"},
		{"with a method and a body", `proxy_method POST; proxy_set_body ping; health_check;`, "POST / HTTP/1.1\r\nHost: u\r\nContent-Length: 4\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := make(chan string, 10)
			b := webtest.Serve(t, func(p *webtest.Peer) {
				asked <- p.Head()
				p.Answer("")
			})
			fleet{"a": {addr: b.Addr}}.checked(t, `upstream u { zone u 64k; server {a}; }
				server { location /of/no/matter/ { proxy_pass http://u/neither/; `+c.location+` } }`)
			if got := webtest.Receive(t, asked); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
