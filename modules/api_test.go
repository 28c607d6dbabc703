package modules_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"starling/admin"
	"starling/modules/web/access"
	"starling/modules/web/api"
	"starling/modules/web/core"
	"starling/modules/web/keyval"
	"starling/modules/web/limitconn"
	"starling/modules/web/limitreq"
	"starling/modules/web/upstream"
	"starling/plan"
	"starling/web"
	"starling/web/webtest"
)

var apiFamilies = []*web.Module{&core.Module, &keyval.Module, &limitreq.Module, &limitconn.Module, &access.Module, &upstream.Module, &api.Module}

const apiText = `
	keyval_zone zone=one:32k;
	limit_req_zone $uri zone=req:32k rate=1r/s;
	limit_conn_zone $uri zone=addr:32k;
	client_body_buffer_size 1k;
	client_max_body_size 1500;
	server {
		location /api { api write=on; }
		location /read/ { api; }
		location = /exact { api; }
		location /guarded { limit_except GET { deny all; } api write=on; }
	}`

// start also does what the cycle does: it hands all resources to the api.
func startAPI(t *testing.T) *webtest.Server {
	s := webtest.Start(t, apiFamilies, apiText)
	catalog := plan.Part[admin.Catalog](s.Plan)
	catalog.Resources = append(s.Site.Resources(), admin.Resource{Path: "stream/zone_sync", Since: 3, Handle: func(*admin.Call) admin.Answer {
		return admin.Answer{Body: map[string]any{"zones": struct{}{}, "status": map[string]int{"nodes_online": 2}}}
	}})
	return s
}

// ask sends a request in a line ("POST /api/9/… {…}") and gives status and body; of errors the code and text only.
func askAPI(s *webtest.Server, line string, headers ...string) string {
	method, rest, _ := strings.Cut(line, " ")
	target, body, _ := strings.Cut(rest, " ")
	more := strings.Join(append(headers, ""), "\r\n")
	head, answer, _ := strings.Cut(s.Send(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s",
		method, target, more, len(body), body)), "\r\n\r\n")
	status := strings.Fields(head)[1]
	var failure struct {
		Error struct {
			Status     int
			Text, Code string
		}
	}
	if json.Unmarshal([]byte(answer), &failure) == nil && failure.Error.Code != "" {
		return fmt.Sprintf("%s %d %s: %s", status, failure.Error.Status, failure.Error.Code, failure.Error.Text)
	}
	if answer == "" {
		return status
	}
	return status + " " + answer
}

func TestAPIOfTheProcess(t *testing.T) {
	s := webtest.Start(t, apiFamilies, "server { location /api { api; } }")
	plan.Part[admin.Catalog](s.Plan).Resources = s.Site.Resources()
	want := fmt.Sprintf(`200 {"go_version":"%s","max_cores":%d}`, runtime.Version(), runtime.GOMAXPROCS(0))
	if got := askAPI(s, "GET /api/9/processes/usage?fields=go_version,max_cores"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := askAPI(s, "GET /api/8/processes/usage"), `404 404 PathNotFound: path not found`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// noHandshakes is /ssl without handshakes.
const noHandshakes = `{"handshakes":0,"handshakes_failed":0,"session_reuses":0,"no_common_protocol":0,"no_common_cipher":0,"handshake_timeout":0,` +
	`"peer_rejected_cert":0,"verify_failures":{"no_cert":0,"expired_cert":0,"revoked_cert":0,"hostname_mismatch":0,"other":0}}`

func TestAPIAnswers(t *testing.T) {
	s := startAPI(t)
	if got := askAPI(s, "DELETE /guarded/9/processes"); !strings.HasPrefix(got, "403 ") {
		t.Errorf("limit_except lets through: %s", got)
	}
	for _, c := range []struct{ call, want string }{
		{"GET /api", `200 [1,2,3,4,5,6,7,8,9]`},
		{"GET /api/", `200 [1,2,3,4,5,6,7,8,9]`},
		{"GET /exact", `200 [1,2,3,4,5,6,7,8,9]`},
		{"GET /api/9", `200 ["http","starling","nginx","processes","connections","slabs","ssl","workers","license","stream"]`},
		{"GET /api/9/", `200 ["http","starling","nginx","processes","connections","slabs","ssl","workers","license","stream"]`},
		{"GET /api/2/", `200 ["http","nginx","processes","connections","slabs","ssl"]`},
		{"GET /api/9/stream/", `200 ["zone_sync"]`},
		{"GET /api/2/stream/", `404 404 PathNotFound: path not found`},
		{"GET /api/9/stream/zone_sync/", `200 {"status":{"nodes_online":2},"zones":{}}`},
		{"GET /api/10/", `404 404 UnknownVersion: unknown version`},
		{"GET /api/x", `404 404 UnknownVersion: unknown version`},
		{"GET /api/09", `404 404 UnknownVersion: unknown version`},
		{"GET /api/9/nowhere", `404 404 PathNotFound: path not found`},
		{"GET /api/9/nginx/x", `404 404 PathNotFound: path not found`},
		{"GET /api/9/http/keyvals", `200 {"one":{}}`},
		{"GET /api/9/http/keyvals/?fields=", `200 ["one"]`},
		{"POST /api/9/http/keyvals/one/ {\"a\":\"<1>\"}", `201`},
		{"GET /api/6/http/keyvals/one", `200 {"a":"<1>"}`},
		{"PATCH /api/9/http/keyvals/one {\"a\":null}", `204`},
		{"POST /api/9/http/keyvals/one {\"a+b;c\":\"1\"}", `201`},
		{"GET /api/9/http/keyvals/one?key=a+b;c", `200 {"a+b;c":"1"}`},
		{"GET /api/9/http/keyvals/one?x&key=a%2Bb%3bc", `200 {"a+b;c":"1"}`},
		{"GET /api/9/http/keyvals/one?key=a%20b;c", `404 404 KeyvalKeyNotFound: key "a b;c" not found`},
		{"GET /api/9/http/keyvals/one?" + strings.Repeat("&", 100), `400 400 BadQuery: invalid query: more than 100 arguments`},
		{"POST /api/9/http/keyvals/one {\"a\":\"" + strings.Repeat("x", 2000) + "\"}", `413 413 RequestEntityTooLarge: request body is longer than 1024 bytes (client_body_buffer_size)`},
		{"DELETE /api/9/http/keyvals/one", `204`},
		{"PUT /api/9/http/keyvals/one", `405 405 MethodDisabled: method disabled`},
		{"DELETE /api/9/nginx", `405 405 MethodNotAllowed: method not allowed`},
		{"DELETE /api/9/", `405 405 MethodNotAllowed: method not allowed`},
		{"POST /read/9/http/keyvals/one {\"a\":\"1\"}", `405 405 MethodDisabled: method disabled`},
		{"DELETE /read/9/connections", `405 405 MethodDisabled: method disabled`},
		{"GET /api/9/http/limit_reqs", `200 {"req":{"passed":0,"delayed":0,"rejected":0,"delayed_dry_run":0,"rejected_dry_run":0}}`},
		{"GET /api/9/http/limit_reqs?fields=passed,rejected", `200 {"req":{"passed":0,"rejected":0}}`},
		{"GET /api/9/http/limit_reqs/req?fields=delayed", `200 {"delayed":0}`},
		{"GET /api/9/http/limit_reqs?fields=", `200 ["req"]`},
		{"GET /api/5/http/limit_reqs", `404 404 PathNotFound: path not found`},
		{"GET /api/9/http/limit_reqs/x", `404 404 LimitReqNotFound: limit_req zone "x" not found`},
		{"GET /api/9/http/limit_conns", `200 {"addr":{"passed":0,"rejected":0,"rejected_dry_run":0}}`},
		{"GET /api/9/http/limit_conns/x", `404 404 LimitConnNotFound: limit_conn zone "x" not found`},
		{"GET /api/9/http/server_zones/", `200 {}`},
		{"GET /api/9/http/server_zones/x", `404 404 ServerZoneNotFound: server zone "x" not found`},
		{"GET /api/9/http/location_zones/x", `404 404 LocationZoneNotFound: location zone "x" not found`},
		{"GET /api/9/http/caches/x", `404 404 CacheNotFound: cache "x" not found`},
		{"GET /api/9/processes", `200 {"respawned":0}`},
		{"DELETE /api/9/processes", `204`},
		{"GET /api/9/ssl", "200 " + noHandshakes},
		{"DELETE /api/9/ssl/", `204`},
		{"DELETE /api/9/connections", `204`},
		{"DELETE /api/9/http/requests", `204`},
		{"GET /api/9/http/requests", `200 {"total":1,"current":1}`},
		{"GET /api/9/slabs/addr", `200 {"pages":{"used":1,"free":7},"slots":{"64":{"used":0,"free":448,"reqs":0,"fails":0}}}`},
		{"GET /api/9/slabs/x", `404 404 SlabNotFound: slab "x" not found`},
		{"DELETE /api/9/slabs/addr", `204`},
		{"GET /api/9/workers/1", `404 404 WorkerNotFound: worker "1" not found`},
		{"GET /api/9/nginx?fields=version,generation", `200 {"version":"1.31.5","generation":1}`},
		{"GET /api/9/nginx?fields=%zz", `400 400 BadQuery: invalid query: invalid URL escape "%zz"`},
		{"GET /api/9/license", `200 {"active_till":0,"eval":false,"reporting":{"healthy":true,"fails":0,"grace":0}}`},
		{"GET /guarded/9/processes", `200 {"respawned":0}`},
	} {
		if got := askAPI(s, c.call); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.call, got, c.want)
		}
	}
}

// All branches answer alike what they do not know: paths that are too deep, and methods.
func TestAPIRefusesAlike(t *testing.T) {
	s := startAPI(t)
	for _, c := range []struct{ call, want string }{
		{"GET /api/9/http/caches/x/y", `404 404 PathNotFound: path not found`},
		{"DELETE /api/9/http/caches", `405 405 MethodNotAllowed: method not allowed`},
		{"DELETE /api/9/http/caches/x", `404 404 CacheNotFound: cache "x" not found`},
		{"DELETE /api/9/http/limit_conns", `405 405 MethodNotAllowed: method not allowed`},
		{"POST /api/9/http/limit_conns/addr {}", `405 405 MethodNotAllowed: method not allowed`},
		{"DELETE /api/9/http/limit_conns/addr", `204`},
		{"GET /api/9/http/limit_conns/x/y", `404 404 PathNotFound: path not found`},
		{"POST /api/9/http/keyvals {}", `405 405 MethodNotAllowed: method not allowed`},
		{"DELETE /api/9/slabs", `405 405 MethodNotAllowed: method not allowed`},
		{"PATCH /api/9/slabs/addr {}", `405 405 MethodNotAllowed: method not allowed`},
		{"POST /api/9/workers {}", `405 405 MethodNotAllowed: method not allowed`},
		{"POST /api/9/workers/0 {}", `405 405 MethodNotAllowed: method not allowed`},
		{"GET /api/9/workers/0/x", `404 404 PathNotFound: path not found`},
		{"DELETE /api/9/workers/0", `204`},
		{"DELETE /api/9/workers", `204`},
	} {
		if got := askAPI(s, c.call); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.call, got, c.want)
		}
	}
}

// TestAPIAnswersUnknownMethodsInJSON: TRACE too, which is refused before a location is looked for.
func TestAPIAnswersUnknownMethodsInJSON(t *testing.T) {
	s := startAPI(t)
	for _, call := range []string{"TRACE /api/9/http/keyvals/one", "TRACE /api", "TRACE /read/9/", "TRACE /guarded/9/", "BREW /api/9/"} {
		if got := askAPI(s, call); got != "405 405 MethodDisabled: method disabled" {
			t.Errorf("%s: %s", call, got)
		}
	}
	if got := askAPI(s, "TRACE /"); !strings.HasPrefix(got, "405 <html>") {
		t.Errorf("outside of the api: %s", got)
	}
}

func TestAPIProcessFigures(t *testing.T) {
	s := startAPI(t)
	for target, pattern := range map[string]string{
		"/api/9/nginx":       `^200 \{"version":"[\d.]+","build":".*-r\d+","address":"unix:pipe","generation":1,"load_timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","timestamp":".*Z","pid":\d+,"ppid":\d+\}$`,
		"/api/9/connections": `^200 \{"accepted":\d+,"dropped":0,"active":\d+,"idle":\d+\}$`,
		"/api/9/workers":     `^200 \[\{"id":0,"pid":\d+,"connections":\{.*\},"http":\{"requests":\{"total":\d+,"current":1\}\}\}\]$`,
		"/api/9/workers/0":   `^200 \{"id":0,.*\}$`,
	} {
		if got := askAPI(s, "GET "+target); !regexp.MustCompile(pattern).MatchString(got) {
			t.Errorf("%s: %s", target, got)
		}
	}
}

func TestAPIHeadAndOptions(t *testing.T) {
	s := startAPI(t)
	client := s.Client()
	head := client.Do("HEAD /api/9/processes HTTP/1.1\r\nHost: a\r\n\r\n")
	if head.StatusCode != 200 || head.ContentLength != 15 || head.Text != "" || head.Header.Get("Content-Type") != "application/json" ||
		head.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("HEAD: %v", head.Response)
	}
	if options := client.Do("OPTIONS /api/9/ HTTP/1.1\r\nHost: a\r\n\r\n"); options.StatusCode != 204 ||
		options.Header.Get("Allow") != "GET, HEAD, POST, PATCH, DELETE, OPTIONS" {
		t.Errorf("OPTIONS: %v", options.Response)
	}
	if options := client.Do("OPTIONS /read/ HTTP/1.1\r\nHost: a\r\n\r\n"); options.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("OPTIONS without write: %v", options.Response)
	}
}

func TestAPIErrorBody(t *testing.T) {
	s := startAPI(t)
	got := s.Get("/api/9/nowhere")
	pattern := `\r\n\r\n\{"error":\{"status":404,"text":"path not found","code":"PathNotFound"\},"request_id":"[0-9a-f]{32}","href":"https://nginx.org/en/docs/http/ngx_http_api_module.html"\}$`
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("got %s", got)
	}
}

func TestAPIMistakes(t *testing.T) {
	for text, problem := range map[string]string{
		`api_allow_origin null;`:                   `invalid origin "null", expected http or https, a host and an optional port, such as https://admin.example.com:8443`,
		`api_allow_origin https://a/;`:             `invalid origin "https://a/", expected http or https, a host and an optional port, such as https://admin.example.com:8443`,
		`api_allow_origin *;`:                      `invalid origin "*", expected http or https, a host and an optional port, such as https://admin.example.com:8443`,
		`api_allow_origin https://*.example.com;`:  `invalid origin "https://*.example.com", expected http or https, a host and an optional port, such as https://admin.example.com:8443`,
		`api_allow_origin admin.example.com;`:      `invalid origin "admin.example.com", expected http or https, a host and an optional port, such as https://admin.example.com:8443`,
		`api_allow_origin http://[::1;`:            `invalid origin "http://[::1", expected http or https, a host and an optional port, such as https://admin.example.com:8443`,
		`api_allow_origin http://a:http;`:          `invalid origin "http://a:http", expected http or https, a host and an optional port, such as https://admin.example.com:8443`,
		`server { api; }`:                          `"api" directive is not allowed here`,
		`server { location / { api read; } }`:      `invalid parameter "read"`,
		`server { location / { api write=yes; } }`: `invalid parameter "write=yes"`,
		`server { location / { api; api; } }`:      `"api" directive is duplicate`,
		`server { location ~ /api { api; } }`:      `"api" requires a prefix location`,
		`server { location @api { api; } }`:        `"api" requires a prefix location`,
	} {
		_, err := webtest.Load(t, apiFamilies, text)
		if want := problem + " in /test.conf:1"; err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

// TestAPIRefusesWritesOfOtherSites: nothing is changed, the answer is JSON, and reading is as free as ever. Who may is
// inherited.
func TestAPIRefusesWritesOfOtherSites(t *testing.T) {
	s := webtest.Start(t, apiFamilies, `
		keyval_zone zone=one:32k;
		api_allow_origin https://admin.example http://[::1]:8080;
		server {
			location /api { api write=on; }
			location /guarded { limit_except GET { allow all; } api write=on; }
			location /other { api write=on; api_allow_origin https://third.example; }
		}`)
	plan.Part[admin.Catalog](s.Plan).Resources = s.Site.Resources()
	for _, c := range []struct{ call, headers, want string }{
		{"POST /api/9/http/keyvals/one {\"a\":\"1\"}", "Origin: http://a\r\nSec-Fetch-Site: same-origin", "201"},
		{"POST /api/9/http/keyvals/one {\"b\":\"1\"}", "Origin: http://evil.example\r\nContent-Type: text/plain",
			`403 403 CrossSiteWrite: Origin "http://evil.example" does not match the Host header: write rejected; allow other origins with "api_allow_origin"`},
		{"POST /api/9/http/keyvals/one {\"b\":\"1\"}", "Sec-Fetch-Site: cross-site",
			`403 403 CrossSiteWrite: Sec-Fetch-Site header indicates a cross-site request: write rejected; allow other origins with "api_allow_origin"`},
		{"PATCH /api/9/http/keyvals/one {\"a\":\"2\"}", "Origin: null",
			`403 403 CrossSiteWrite: Origin "null" does not match the Host header: write rejected; allow other origins with "api_allow_origin"`},
		{"DELETE /guarded/9/http/keyvals/one", "Sec-Fetch-Site: cross-site",
			`403 403 CrossSiteWrite: Sec-Fetch-Site header indicates a cross-site request: write rejected; allow other origins with "api_allow_origin"`},
		{"GET /api/9/http/keyvals/one", "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site", `200 {"a":"1"}`},
		{"PATCH /api/9/http/keyvals/one {\"a\":\"3\"}", "Origin: https://admin.example\r\nSec-Fetch-Site: cross-site", "204"},
		{"PATCH /guarded/9/http/keyvals/one {\"a\":\"4\"}", "Origin: http://[0::1]:8080", "204"},
		{"PATCH /other/9/http/keyvals/one {\"a\":\"5\"}", "Origin: https://third.example", "204"},
		{"PATCH /other/9/http/keyvals/one {\"a\":\"6\"}", "Origin: https://admin.example",
			`403 403 CrossSiteWrite: Origin "https://admin.example" does not match the Host header: write rejected; allow other origins with "api_allow_origin"`},
		{"GET /api/9/http/keyvals/one", "X: y", `200 {"a":"5"}`},
	} {
		if got := askAPI(s, c.call, c.headers); got != c.want {
			t.Errorf("%s, %s\n got %s\nwant %s", c.call, c.headers, got, c.want)
		}
	}
}
