package dashboard

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"starling/admin"
	"starling/logs"
	"starling/modules/web/core"
	"starling/plan"
	"starling/web"
	"starling/web/webtest"
)

var families = []*web.Module{&core.Module, &Module}

// The page is served in every kind of location, knows where the API is from there, and lets the browser run nothing but
// its own script.
func TestPage(t *testing.T) {
	s := webtest.Start(t, families, `server {
		location = /dashboard.html { dashboard; }
		location /ops/board/ { dashboard api=/ops/api/; location /ops/board/inner { } }
		location ~ ^/any/.*/where$ { dashboard api=/a&"b; } }`)
	for _, c := range []struct{ request, status, api string }{
		{"GET /dashboard.html", "200 OK", "./api"},
		{"GET /dashboard.html?x=1", "200 OK", "./api"},
		{"HEAD /dashboard.html", "200 OK", ""},
		{"GET /ops/board/", "200 OK", "../api"},
		{"GET /any/1/where", "200 OK", "../../a&amp;%22b"},
		{"POST /dashboard.html", "405 Not Allowed", ""},
		{"GET /ops/board/inner", "404 Not Found", ""},
	} {
		head, body, _ := strings.Cut(s.Send(c.request+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.1 "+c.status) {
			t.Errorf("%s: %s", c.request, head)
		}
		if c.status != "200 OK" {
			continue
		}
		for _, field := range []string{
			"Content-Type: text/html; charset=utf-8", "Content-Security-Policy: default-src 'none'; script-src 'sha256-", "frame-ancestors 'none'",
			"X-Content-Type-Options: nosniff", "Cache-Control: no-cache", "ETag: \"",
		} {
			if !strings.Contains(head, field) {
				t.Errorf("%s: no %s in\n%s", c.request, field, head)
			}
		}
		if c.api != "" && !strings.Contains(body, `data-api="`+c.api+`"`) {
			t.Errorf("%s: the page does not find the API at %s: %.200s", c.request, c.api, body)
		}
	}
}

func TestWrongPathsOfTheAPI(t *testing.T) {
	for _, path := range []string{"api", "/", "//host/api", "http://host/api", "/api?x", "/a#b", `/a\\b`} {
		_, err := webtest.Load(t, families, `server { location /x { dashboard api=`+path+`; } }`)
		if err == nil || !strings.Contains(err.Error(), "of the API: write it as in its location, such as /api") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestRelative(t *testing.T) {
	for _, c := range [][3]string{
		{"/dashboard.html", "/api", "./api"},
		{"/", "/api", "./api"},
		{"/a/b/c", "/api", "../../api"},
		{"/a/b/", "/a/b/api", "./api"},
		{"/a/b", "/a", "../a"},
		{"/a", "/a/api", "./a/api"},
		{"/x", "/b:c/d e", "./b:c/d%20e"},
	} {
		if got := relative(c[0], c[1]); got != c[2] {
			t.Errorf("%s from %s: %s, want %s", c[1], c[0], got, c[2])
		}
	}
}

// Every file is part of the page, text from the API is never parsed as markup, and nothing is loaded from elsewhere.
func TestSources(t *testing.T) {
	names, err := filepath.Glob("page/*")
	if err != nil || len(names) < len(scripts) {
		t.Fatal(names, err)
	}
	unsafe := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?:www\.w3\.org)?`)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(name)
		if base != firstScript && strings.HasSuffix(base, ".js") && !slices.Contains(scripts, base) {
			t.Errorf("%s is not part of the page: list it in scripts", name)
		}
		for _, found := range unsafe.FindAllString(string(text), -1) {
			if found != "http://www.w3.org" { // a namespace
				t.Errorf("%s has %s", name, found)
			}
		}
		if lines := strings.Count(string(text), "\n"); lines > 500 {
			t.Errorf("%s has %d lines", name, lines)
		}
	}
}

func TestRecentErrors(t *testing.T) {
	all := logs.NewFiles("starling").Logs()
	defer all.Close()
	log, err := all.ErrorLog([]logs.Target{{Path: filepath.Join(t.TempDir(), "log"), Level: logs.Error}})
	if err != nil {
		t.Fatal(err)
	}
	log.Logf(logs.Crit, "the disk is full")
	r := resources(&plan.Plan{Logs: all})[0]
	answer, ok := r.Handle(&admin.Call{Method: http.MethodGet}).Body.(recentErrors)
	if r.Path != "starling/errors" || !ok || answer.Total != 1 || len(answer.Lines) != 1 {
		t.Fatalf("%s answers %+v", r.Path, answer)
	}
	stamp := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	if l := answer.Lines[0]; l.Level != "crit" || l.Message != "the disk is full" || l.Number != 1 || !stamp.MatchString(l.Time) {
		t.Errorf("%+v", l)
	}
	full, err := all.AccessLog(logs.AccessOptions{Path: "/dev/full"})
	if err != nil {
		t.Skip("no /dev/full on this system: ", err)
	}
	full.Write([]byte("lost\n"))
	if answer := r.Handle(&admin.Call{Method: http.MethodGet}).Body.(recentErrors); answer.Lost != 1 {
		t.Errorf("%d lines are lost, want 1", answer.Lost)
	}
}
