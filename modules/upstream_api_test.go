package modules_test

import (
	"fmt"
	"strings"
	"testing"

	"starling/admin"
	"starling/modules/web/api"
	"starling/modules/web/core"
	"starling/modules/web/proxy"
	"starling/modules/web/upstream"
	"starling/plan"
	"starling/web"
	"starling/web/webtest"
)

var upstreamAPIFamilies = []*web.Module{&core.Module, &upstream.Module, &proxy.Module, &api.Module}

// badRoute is what is wrong with a route that would leave its cookie.
const badRoute = "invalid route, spaces, quotes, commas, semicolons, backslashes and control characters are not allowed"

// startUpstreamAPI runs upstream blocks with a server that answers for /api and passes everything else on to u.
func startUpstreamAPI(t *testing.T, upstreams string) *webtest.Server {
	t.Helper()
	s := webtest.Start(t, upstreamAPIFamilies, upstreams+` server { location / { proxy_pass http://u; } location /api { api write=on; } }`)
	catalog := plan.Part[admin.Catalog](s.Plan)
	catalog.Resources = s.Site.Resources()
	return s
}

// object is a server as the API shows it, with the defaults where the test gives no other value.
func object(id int, server string, others ...string) string {
	text := fmt.Sprintf(
		`{"id":%d,"server":"%s","weight":1,"max_conns":0,"max_fails":1,"fail_timeout":"10s","slow_start":"0s","route":"","backup":false,"down":false}`,
		id,
		server,
	)
	for _, o := range others {
		name, _, _ := strings.Cut(o, ":")
		at := strings.Index(text, name+":")
		if at < 0 {
			text = text[:len(text)-1] + "," + o + "}"
			continue
		}
		rest := text[at:]
		text = text[:at] + o + rest[strings.IndexAny(rest, ",}"):]
	}
	return text
}

// TestUpstreamAPI: servers are added, changed, drained and removed, and what is wrong gets its documented code and
// changes nothing.
func TestUpstreamAPI(t *testing.T) {
	s := startUpstreamAPI(t, `upstream u { zone u 64k; server 127.0.0.1:1; server 127.0.0.1:2 backup; }
		upstream h { zone h 64k; hash $uri; server 127.0.0.1:1; } upstream fixed { server 127.0.0.1:1; }`)
	const u = "/api/9/http/upstreams/u/servers"
	for _, step := range []struct{ call, want string }{
		{"GET " + u, `200 [` + object(0, "127.0.0.1:1") + `,` + object(1, "127.0.0.1:2", `"backup":true`) + `]`},
		{"GET " + u + "/0/", `200 ` + object(0, "127.0.0.1:1")},
		{"GET " + u + "/7", `404 404 UpstreamServerNotFound: server with ID "7" does not exist`},
		{"GET " + u + "/x", `400 400 UpstreamBadServerId: invalid server ID`},
		{"GET " + u + "/-1", `400 400 UpstreamBadServerId: invalid server ID`},
		{"GET " + u + "/0/x", `404 404 PathNotFound: path not found`},
		{"GET /api/9/http/upstreams/v/servers", `404 404 UpstreamNotFound: upstream not found`},
		{"GET /api/9/http/upstreams/fixed/servers", `400 400 UpstreamStatic: upstream "fixed" is static: add a "zone" directive to it`},
		{"GET /api/9/http/upstreams?fields=", `200 ["h","u"]`},
		{"GET /api/9/http/upstreams?fields=zone", `200 {"h":{"zone":"h"},"u":{"zone":"u"}}`},
		// added
		{"POST " + u + ` {"server":"127.0.0.1:3"}`, `201 ` + object(2, "127.0.0.1:3")},
		{"POST " + u + ` {"server":"127.0.0.1:3"}`, `409 409 EntryExists: server "127.0.0.1:3" already exists`},
		{"POST " + u + ` {"server":"127.0.0.1:4","weight":3,"max_conns":4,"max_fails":5,"fail_timeout":"1m","slow_start":7,"route":"r","backup":true,"down":true}`,
			`201 ` + object(3, "127.0.0.1:4", `"weight":3`, `"max_conns":4`, `"max_fails":5`, `"fail_timeout":"60s"`, `"slow_start":"7s"`, `"route":"r"`, `"backup":true`, `"down":true`)},
		// changed and drained
		{"PATCH " + u + `/2 {"weight":2,"server":"127.0.0.1:3"}`, `200 ` + object(2, "127.0.0.1:3", `"weight":2`)},
		{"PATCH " + u + `/2 {"drain":true,"weight":1}`, `200 ` + object(2, "127.0.0.1:3", `"drain":true`)},
		{"PATCH " + u + `/2 {"down":false}`, `200 ` + object(2, "127.0.0.1:3")},
		{"PATCH " + u + `/2 {"server":"127.0.0.1:9"}`, `400 400 UpstreamServerImmutable: "server" of a server cannot be changed: add a new server and remove this one`},
		{"PATCH " + u + `/2 {"id":9}`, `400 400 UpstreamConfFormatError: unknown parameter "id"`},
		{"PATCH " + u + `/9 {"weight":2}`, `404 404 UpstreamServerNotFound: server with ID "9" does not exist`},
		{"PATCH " + u + ` {}`, `405 405 MethodNotAllowed: method not allowed`},
		// removed
		{"DELETE " + u + `/3`, `200 [` + object(0, "127.0.0.1:1") + `,` + object(2, "127.0.0.1:3") + `,` + object(1, "127.0.0.1:2", `"backup":true`) + `]`},
		{"DELETE " + u + `/2`, `200 [` + object(0, "127.0.0.1:1") + `,` + object(1, "127.0.0.1:2", `"backup":true`) + `]`},
		{"DELETE " + u + `/2`, `404 404 UpstreamServerNotFound: server with ID "2" does not exist`},
		{"DELETE /api/9/http/upstreams/u", `204`},
		{"DELETE /api/9/http/upstreams", `405 405 MethodNotAllowed: method not allowed`},
		{`POST /api/9/http/upstreams/h/servers {"server":"127.0.0.1:2","backup":true}`, `400 400 UpstreamNoBackup: load balancing method does not support backup servers`},
		{"POST " + u + ` {"server":"a.example.com"}`, `400 400 UpstreamConfNoResolver: no resolver defined to resolve "a.example.com"`},
		// what is wrong with a body
		{"POST " + u + ` {`, `415 415 JsonError: json error`},
		{"POST " + u, `415 415 JsonError: json error`},
		{"POST " + u + ` {"server":"127.0.0.1:5"} {}`, `415 415 JsonError: json error`},
		{"POST " + u + " {\"server\":\"\xff\"}", `415 415 JsonError: json error`},
		{"POST " + u + ` []`, `400 400 UpstreamConfFormatError: invalid JSON: expected an object`},
		{"POST " + u + ` null`, `400 400 UpstreamConfFormatError: invalid JSON: expected an object`},
		{"POST " + u + ` {}`, `400 400 UpstreamConfFormatError: missing "server" argument`},
		{"POST " + u + ` {"x":1,"weight":0,"y":1}`, `400 400 UpstreamConfFormatError: unknown parameter "x"`},
		{"POST " + u + ` {"server":"127.0.0.1:5","server":"127.0.0.1:6"}`, `400 400 UpstreamConfFormatError: duplicate parameter "server"`},
		{"POST " + u + ` {"server":["127.0.0.1:5"]}`, `400 400 UpstreamConfFormatError: nested object or list "server"`},
		{"POST " + u + ` {"server":"127.0.0.1:5","backup":"yes"}`, `400 400 UpstreamConfFormatError: invalid parameter value "backup"`},
		{"POST " + u + ` {"server":5}`, `400 400 UpstreamBadAddress: invalid parameter value "server"`},
		{"POST " + u + ` {"server":"127.0.0.1:99999"}`, `400 400 UpstreamBadAddress: invalid server address "127.0.0.1:99999"`},
		{"POST " + u + ` {"server":""}`, `400 400 UpstreamBadAddress: invalid server address ""`},
		{"POST " + u + ` {"server":"127.0.0.1:5","weight":0}`, `400 400 UpstreamBadWeight: invalid weight`},
		{"POST " + u + ` {"server":"127.0.0.1:5","weight":1.5}`, `400 400 UpstreamBadWeight: invalid parameter value "weight"`},
		{"POST " + u + ` {"server":"127.0.0.1:5","max_conns":-1}`, `400 400 UpstreamBadMaxConns: invalid parameter value "max_conns"`},
		{"POST " + u + ` {"server":"127.0.0.1:5","max_fails":"x"}`, `400 400 UpstreamBadMaxFails: invalid parameter value "max_fails"`},
		{"POST " + u + ` {"server":"127.0.0.1:5","fail_timeout":"x"}`, `400 400 UpstreamBadFailTimeout: invalid parameter value "fail_timeout"`},
		{"POST " + u + ` {"server":"127.0.0.1:5","slow_start":true}`, `400 400 UpstreamBadSlowStart: invalid parameter value "slow_start"`},
		{"POST " + u + ` {"server":"127.0.0.1:5","route":"` + strings.Repeat("r", 33) + `"}`, `400 400 UpstreamBadRoute: route is longer than 32 symbols`},
		{"POST " + u + ` {"server":"127.0.0.1:5","route":"a; Domain=example.com"}`, `400 400 UpstreamBadRoute: ` + badRoute},
		{"PATCH " + u + `/0 {"route":"a\r\nSet-Cookie: b"}`, `400 400 UpstreamBadRoute: ` + badRoute},
		{"PATCH " + u + `/0 {"route":"\u00fc"}`, `400 400 UpstreamBadRoute: ` + badRoute},
		{"POST " + u + ` {"server":"127.0.0.1:5","service":"http"}`, `400 400 UpstreamBadService: "service" requires a domain name without a port`},
		{"GET " + u, `200 [` + object(0, "127.0.0.1:1") + `,` + object(1, "127.0.0.1:2", `"backup":true`) + `]`},
	} {
		if got := askAPI(s, step.call); got != step.want {
			t.Errorf("%s\n got %s\nwant %s", step.call, got, step.want)
		}
	}
}

// Paths and methods that the branch does not know.
func TestUpstreamAPIRefuses(t *testing.T) {
	s := startUpstreamAPI(t, `upstream u { zone u 64k; server 127.0.0.1:1; } upstream fixed { server 127.0.0.1:1; }`)
	const u = "/api/9/http/upstreams/u/servers"
	for _, c := range []struct{ call, want string }{
		{"GET " + u + "/007", `404 404 UpstreamServerNotFound: server with ID "7" does not exist`},
		{"GET /api/9/http/upstreams/u/nothing", `404 404 PathNotFound: path not found`},
		{"GET /api/9/http/upstreams/v/nothing", `404 404 UpstreamNotFound: upstream not found`},
		{"GET /api/9/http/upstreams/fixed", `400 400 UpstreamStatic: upstream "fixed" is static: add a "zone" directive to it`},
		{"POST /api/9/http/upstreams/u {}", `405 405 MethodNotAllowed: method not allowed`},
		{"DELETE " + u, `405 405 MethodNotAllowed: method not allowed`},
		{"POST " + u + "/0 {}", `405 405 MethodNotAllowed: method not allowed`},
	} {
		if got := askAPI(s, c.call); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.call, got, c.want)
		}
	}
}

// TestServersOfTheAPIServe: what the API changes is what requests meet.
func TestServersOfTheAPIServe(t *testing.T) {
	f := fleet{}
	f.backend(t, "a", says("a"))
	f.backend(t, "b", says("b"))
	s := startUpstreamAPI(t, `upstream u { zone u 64k; }`)
	const servers = "/api/9/http/upstreams/u/servers"
	for _, step := range []struct{ call, code, want string }{
		{"GET " + servers, "200", "502"},
		{"POST " + servers + ` {"server":"` + f["a"].addr + `"}`, "201", "aaaa"},
		{"POST " + servers + ` {"server":"` + f["b"].addr + `"}`, "201", "abab"},
		{"PATCH " + servers + `/0 {"drain":true}`, "200", "bbbb"},
		{"PATCH " + servers + `/0 {"down":false}`, "200", "abab"},
		{"PATCH " + servers + `/1 {"down":true}`, "200", "aaaa"},
		{"DELETE " + servers + `/0`, "200", "502"},
		{"PATCH " + servers + `/1 {"down":false}`, "200", "bbbb"},
		{"DELETE " + servers + `/1`, "200", "502"},
	} {
		if got := askAPI(s, step.call); !strings.HasPrefix(got, step.code) {
			t.Fatalf("%s: %s", step.call, got)
		}
		c := s.Client()
		if step.want == "502" {
			if r := get(c); r.StatusCode != 502 {
				t.Errorf("after %s: %d %s", step.call, r.StatusCode, r.Text)
			}
			continue
		}
		// Which of the two is first depends on what was before.
		if got := run(c, 4); strings.Count(got, "a") != strings.Count(step.want, "a") || len(got) != 4 {
			t.Errorf("after %s: %s, want %s", step.call, got, step.want)
		}
	}
}
