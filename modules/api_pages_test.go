package modules_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"starling/admin"
	"starling/modules/web/authbasic"
	"starling/plan"
	"starling/web/webtest"
)

// TestAPIAnswersPagesOfNamedOrigins plays what a browser does for a page of another origin: it asks with a preflight
// request, without credentials, and sends the request, and shows the page the response, only if the answers allow it.
func TestAPIAnswersPagesOfNamedOrigins(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("me:{PLAIN}secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := `
		keyval_zone zone=one:32k;
		server {
			listen 80;
			location /api { api write=on; api_allow_origin https://admin.example; auth_basic x; auth_basic_user_file ` + users + `; deny 10.0.0.1; }
			location /read { api; api_allow_origin https://admin.example; }
			location /guarded { limit_except GET { deny all; } api write=on; api_allow_origin https://admin.example; }
			location /closed { api write=on; }
		}`
	s := webtest.Start(t, append(apiFamilies, &authbasic.Module), text)
	plan.Part[admin.Catalog](s.Plan).Resources = s.Site.Resources()
	const page, secret = "https://admin.example", "Authorization: Basic bWU6c2VjcmV0\r\n"
	b := browser{t: t, s: s, origin: page}
	if got := b.fetch("POST", "/api/9/http/keyvals/one", `{"a":"1"}`, secret+"Content-Type: application/json\r\n"); got != "201 " {
		t.Errorf("POST: %s", got)
	}
	if got := b.fetch("PATCH", "/api/9/http/keyvals/one", `{"a":"2"}`, secret+"X-Requested-With: x\r\n"); got != "204 " {
		t.Errorf("PATCH: %s", got)
	}
	if got := b.fetch("GET", "/api/9/http/keyvals/one", "", secret); got != `200 {"a":"2"}` {
		t.Errorf("GET: %s", got)
	}
	if got := b.fetch("GET", "/api/9/http/keyvals/one", "", ""); !strings.HasPrefix(got, "401 ") {
		t.Errorf("without a password, the page reads that: %s", got)
	}
	if got := b.fetch("GET", "/api/9/nothing", "", secret); !strings.HasPrefix(got, "404 ") || !strings.Contains(got, "PathNotFound") {
		t.Errorf("an error is JSON for the page too: %s", got)
	}
	if got := b.fetch("DELETE", "/read/9/http/keyvals/one", "", ""); got != "blocked: DELETE is not among GET, HEAD, OPTIONS" {
		t.Errorf("a location to read from: %s", got)
	}
	if got := b.fetch("DELETE", "/guarded/9/http/keyvals/one", "", ""); !strings.HasPrefix(got, "403 ") {
		t.Errorf("access rules hold: %s", got)
	}
	if got := b.fetch("GET", "/closed/9/http/keyvals/one", "", ""); got != "blocked: no Access-Control-Allow-Origin" {
		t.Errorf("a location that names no origin: %s", got)
	}
	if got := b.fetch("DELETE", "/closed/9/http/keyvals/one", "", ""); got != "blocked: no Access-Control-Allow-Origin" {
		t.Errorf("a location that names no origin: %s", got)
	}
	for _, other := range []string{"https://evil.example", "http://admin.example", "https://admin.example:8443", "null", "https://admin.example.evil.example"} {
		b := browser{t: t, s: s, origin: other}
		for _, method := range []string{"DELETE", "GET"} {
			if got := b.fetch(method, "/api/9/http/keyvals/one", "", secret); got != "blocked: no Access-Control-Allow-Origin" {
				t.Errorf("%s by %s: %s", method, other, got)
			}
		}
	}
	if got := b.fetch("GET", "/api/9/http/keyvals/one", "", secret); got != `200 {"a":"2"}` {
		t.Errorf("in the end: %s", got)
	}
}

// TestPreflightAnswers are what a client sees that asks about requests.
func TestPreflightAnswers(t *testing.T) {
	s := webtest.Start(t, apiFamilies, `server { listen 80; server_name a;
		location /api { api write=on; api_allow_origin https://admin.example http://[::1]:8080; }
		location /closed { api write=on; } }`)
	const ask = "\r\nAccess-Control-Request-Method: PATCH"
	for _, c := range []struct{ path, headers, status, origin, headersAllowed string }{
		{"/api", "Origin: https://admin.example" + ask, "204", "https://admin.example", ""},
		{"/api", "Origin: https://admin.example" + ask + "\r\nAccess-Control-Request-Headers: content-type, x_y", "204", "https://admin.example", "content-type, x_y"},
		{"/api", "Origin: https://admin.example" + ask + "\r\nAccess-Control-Request-Headers: a;b", "204", "https://admin.example", ""},
		{"/api", "Origin: https://admin.example" + ask + "\r\nAccess-Control-Request-Headers: " + strings.Repeat("a,", 600), "204", "https://admin.example", ""},
		{"/api", "Origin: http://[0::1]:8080" + ask, "204", "http://[0::1]:8080", ""},
		{"/api", "Origin: http://a" + ask, "204", "", ""},                                              // its own page
		{"/api", "Origin: https://admin.example", "204", "https://admin.example", ""},                  // no preflight
		{"/api", "Access-Control-Request-Method: PATCH", "204", "", ""},                                // no browser
		{"/api", "Origin: https://evil.example" + ask, "403", "", ""},                                  // another page
		{"/api", "Origin: null" + ask, "403", "", ""},                                                  // any page
		{"/api", "Origin: https://admin.example\r\nOrigin: https://evil.example" + ask, "403", "", ""}, // two
		{"/closed", "Origin: https://admin.example" + ask, "204", "", ""},                              // add_header may allow it
	} {
		head := s.Send("OPTIONS " + c.path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + c.headers + "\r\n\r\n")
		got := [3]string{strings.Fields(head)[1], header(head, "Access-Control-Allow-Origin"), header(head, "Access-Control-Allow-Headers")}
		if want := [3]string{c.status, c.origin, c.headersAllowed}; got != want {
			t.Errorf("%s, %s\n got %q\nwant %q", c.path, c.headers, got, want)
		}
		if c.path == "/api" && header(head, "Vary") != "Origin" {
			t.Errorf("%s: a cache would give one page the answer to another:\n%s", c.headers, head)
		}
	}
}

// browser sends requests of one page as the Fetch standard says.
type browser struct {
	t      *testing.T
	s      *webtest.Server
	origin string
}

// fetch is what a page gets: status and body, or why the browser keeps it back.
func (b browser) fetch(method, path, body, headers string) string {
	b.t.Helper()
	ask := func(method, body, headers string) string {
		head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: %s\r\nSec-Fetch-Site: cross-site\r\n", method, path, b.origin)
		return b.s.Send(fmt.Sprintf("%s%sContent-Length: %d\r\n\r\n%s", head, headers, len(body), body))
	}
	blocked := func(answer string) string {
		if allowed := header(answer, "Access-Control-Allow-Origin"); allowed == "" {
			return "blocked: no Access-Control-Allow-Origin"
		} else if allowed != b.origin || header(answer, "Access-Control-Allow-Credentials") != "true" {
			return "blocked: for " + allowed
		}
		return ""
	}
	if method != "GET" || headers != "" { // none of these tests sends what browsers call a simple request
		var names []string
		for line := range strings.SplitSeq(strings.TrimSpace(headers), "\r\n") {
			name, _, _ := strings.Cut(strings.ToLower(line), ":")
			names = append(names, name)
		}
		asked := "Access-Control-Request-Method: " + method + "\r\n"
		if headers != "" {
			asked += "Access-Control-Request-Headers: " + strings.Join(names, ",") + "\r\n"
		}
		answer := ask("OPTIONS", "", asked)
		if why := blocked(answer); why != "" {
			return why
		}
		if status := strings.Fields(answer)[1]; status[0] != '2' {
			return "blocked: preflight " + status
		}
		if methods := header(answer, "Access-Control-Allow-Methods"); !slices.Contains(strings.Split(methods, ", "), method) {
			return "blocked: " + method + " is not among " + methods
		}
		if allowed := header(answer, "Access-Control-Allow-Headers"); headers != "" && allowed != strings.Join(names, ",") {
			return "blocked: headers " + allowed
		}
	}
	answer := ask(method, body, headers)
	if why := blocked(answer); why != "" {
		return why
	}
	_, content, _ := strings.Cut(answer, "\r\n\r\n")
	return strings.Fields(answer)[1] + " " + content
}

// header is the value of a response header that may come once.
func header(answer, name string) (value string) {
	head, _, _ := strings.Cut(answer, "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		if n, v, _ := strings.Cut(line, ": "); strings.EqualFold(n, name) {
			if value != "" {
				return value + " and again " + v
			}
			value = v
		}
	}
	return value
}
