package modules_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/modules/web/authrequest"
	"starling/modules/web/core"
	"starling/modules/web/ssi"
	"starling/modules/web/static"
	"starling/web"
	"starling/web/webtest"
)

// TestConditionsAreNotOfSubrequests: conditions of the client are about what it asks for, not about files that are
// included in it, nor about one that decides on access.
func TestConditionsAreNotOfSubrequests(t *testing.T) {
	dir, written := t.TempDir(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, file := range []struct {
		name, text string
		written    time.Time
	}{{"page", `a<!--# include virtual="/part" -->c`, written.AddDate(0, 0, -1)}, {"part", "b", written}} {
		path := filepath.Join(dir, file.name)
		if err := os.WriteFile(path, []byte(file.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, file.written, file.written); err != nil {
			t.Fatal(err)
		}
	}
	s := webtest.Start(t, []*web.Module{&core.Module, &static.Module, &ssi.Module, &authrequest.Module}, `
		server { root `+dir+`; default_type text/html; location = /page { ssi on; } location = /part { }
			location = /guarded { auth_request /part; alias `+dir+`/page; } }`)
	for _, header := range []string{
		"If-Modified-Since: Fri, 02 Jan 2026 03:04:05 GMT", "If-Unmodified-Since: Fri, 02 Jan 2026 03:04:04 GMT",
	} {
		for target, want := range map[string]string{"/page": "abc", "/guarded": `a<!--# include virtual="/part" -->c`} {
			r := s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: a\r\n" + header + "\r\n\r\n")
			if r.StatusCode != 200 || r.Text != want {
				t.Errorf("%s with %s: %d %q, want %q", target, header, r.StatusCode, r.Text, want)
			}
		}
	}
}

// The validators of the files and responses in TestConditions.
const (
	tag      = `"63b21e80-3"`
	modified = "Mon, 02 Jan 2023 00:00:00 GMT"
)

// conditionCases are requests with a status of 200 without their conditions.
var conditionCases = []struct {
	path, header string
	want         int
}{
	{"/a", "If-None-Match: ", 200}, {"/a", "If-None-Match: *", 304}, {"/a", `If-None-Match: *,"x"`, 200},
	{"/a", "If-None-Match: " + tag, 304}, {"/a", "If-None-Match: W/" + tag, 304}, {"/a", "If-None-Match: W/W/" + tag, 200},
	{"/a", "If-None-Match: w/" + tag, 200}, {"/a", "If-None-Match: " + tag + "x", 200}, {"/a", "If-None-Match: x" + tag, 200},
	{"/a", "If-None-Match: " + tag + ` ,"z"`, 304}, {"/a", `If-None-Match: "z",,, ` + tag, 304}, {"/a", `If-None-Match: ,` + tag, 304},
	{"/a", `If-None-Match: "z" ` + tag, 200}, {"/a", "If-None-Match: " + tag + ";a=b", 200}, {"/a", `If-None-Match: "a,b",` + tag, 304},
	{"/a", "If-None-Match: " + tag + "\t,", 304}, {"/a", `If-None-Match: "z",W/` + tag, 304}, {"/a", "If-None-Match: " + tag[:len(tag)-1], 200},
	{"/a", "If-Match: ", 412}, {"/a", "If-Match: *", 200}, {"/a", "If-Match: " + tag, 200}, {"/a", "If-Match: W/" + tag, 412},
	{"/a", `If-Match: "z", ` + tag, 200}, {"/a", `If-Match: "z"`, 412},
	{"/tagless/a", "If-None-Match: *", 304}, {"/tagless/a", "If-None-Match: " + tag, 200}, {"/tagless/a", "If-Match: *", 200}, {"/tagless/a", "If-Match: " + tag, 412},
	{"/a", "If-Modified-Since: " + modified, 304}, {"/a", "If-Modified-Since: Mon, 02 Jan 2023 00:00:01 GMT", 200},
	{"/a", "If-Modified-Since: Mon, 02 Jan 2023 00:00:00", 304}, {"/a", "If-Modified-Since: " + modified + "; length=3", 304},
	{"/a", "If-Modified-Since: Monday, 02-Jan-23 00:00:00 GMT", 304}, {"/a", "If-Modified-Since: Mon Jan  2 00:00:00 2023", 304},
	{"/a", "If-Modified-Since: yesterday", 200}, {"/a", "If-Modified-Since: ", 200},
	{"/before/a", "If-Modified-Since: Mon, 02 Jan 2023 00:00:01 GMT", 304}, {"/before/a", "If-Modified-Since: Sun, 01 Jan 2023 00:00:00 GMT", 200},
	{"/before/a", "If-Modified-Since: yesterday", 200}, {"/off/a", "If-Modified-Since: " + modified, 200},
	{"/a", "If-Modified-Since: " + modified + "\r\nIf-None-Match: " + tag, 304}, {"/a", "If-Modified-Since: " + modified + "\r\nIf-None-Match: \"z\"", 200},
	{"/a", "If-Modified-Since: yesterday\r\nIf-None-Match: " + tag, 200},
	{"/a", "If-Unmodified-Since: " + modified, 200}, {"/a", "If-Unmodified-Since: Sun, 01 Jan 2023 00:00:00 GMT", 412},
	{"/a", "If-Unmodified-Since: yesterday", 412}, {"/a", "If-Unmodified-Since: ", 412}, {"/a", "If-Unmodified-Since: Mon, 2 Jan 2023 00:00:00 GMT", 412},
	{"/a", "If-Unmodified-Since: Sun, 01 Jan 2023 00:00:00 GMT\r\nRange: bytes=0-0", 412}, {"/a", "If-None-Match: *\r\nRange: bytes=0-0", 304},
	{"/page", `If-Match: "z"`, 412},
	{"/return", "If-None-Match: *", 304}, {"/return", `If-None-Match: "z"`, 200}, {"/return", `If-Match: "z"`, 412}, {"/return", "If-Match: *", 200},
	{"/return", "If-Unmodified-Since: " + modified, 412}, {"/return", "If-Modified-Since: " + modified, 200},
	{"/both", `If-None-Match: "e"`, 304}, {"/both", `If-Match: "z"`, 412}, {"/both", "If-Modified-Since: " + modified, 304},
	{"/both", "If-Unmodified-Since: yesterday", 412}, {"/both", "If-Modified-Since: " + modified + "; length=3", 304},
	{"/weak", `If-None-Match: "e"`, 304}, {"/weak", `If-None-Match: W/"e"`, 304}, {"/weak", `If-Match: W/"e"`, 200}, {"/weak", `If-Match: "e"`, 412},
	{"/weak", "If-Unmodified-Since: " + modified, 412}, {"/weak", "If-Modified-Since: " + modified, 200},
	{"/odd", "If-None-Match: e", 304}, {"/odd", "If-Unmodified-Since: " + modified, 412}, {"/odd", "If-Modified-Since: " + modified, 200},
	{"/none", "If-Unmodified-Since: " + modified, 412}, {"/none", "If-Modified-Since: " + modified, 200}, {"/none", "If-None-Match: *", 304}, {"/none", `If-Match: "e"`, 412},
	{"/passed/both", `If-None-Match: "e"`, 200}, {"/passed/both", `If-Match: "z"`, 200}, {"/passed/none", "If-Unmodified-Since: " + modified, 200},
}

// Conditions of the client and nginx's answers to them, to files, to responses that are stored or were, to slices, to
// texts of `return`, and to a server's response that is not stored, which a server answers itself.
func TestConditions(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	written := time.Date(2023, 1, 2, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "a"), written, written); err != nil {
		t.Fatal(err)
	}
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", fresh)
		switch strings.TrimPrefix(r.URL.Path, "/passed") {
		case "/both":
			w.Header().Set("ETag", `"e"`)
			w.Header().Set("Last-Modified", modified)
		case "/weak":
			w.Header().Set("ETag", `W/"e"`)
		case "/odd":
			w.Header().Set("ETag", "e")
			w.Header().Set("Last-Modified", "yesterday")
		}
		w.Header().Set("Content-Length", "3")
		io.WriteString(w, "abc")
	})
	s := webtest.Start(t, append(slices.Clone(families), &static.Module), `proxy_cache_path cache keys_zone=one:1m; server { root `+dir+`; keepalive_requests 10000;
		location / { proxy_pass `+o.URL+`; proxy_cache one; }
		location /passed { proxy_pass `+o.URL+`; }
		location = /a { } location = /exact/a { alias `+dir+`/a; } location = /before/a { if_modified_since before; alias `+dir+`/a; }
		location = /off/a { if_modified_since off; alias `+dir+`/a; } location = /tagless/a { etag off; alias `+dir+`/a; }
		location = /return { return 200 abc; }
		location = /page { error_page 412 /sorry; alias `+dir+`/a; } location = /sorry { return 200 sorry; } }`)
	for _, c := range conditionCases {
		for range 2 { // a miss, and then what is stored
			r := s.Client().Do("GET " + c.path + " HTTP/1.1\r\nHost: a\r\n" + c.header + "\r\n\r\n")
			if r.StatusCode != c.want || c.want == 304 && r.Text != "" || c.want == 200 && r.Text != "abc" ||
				c.path == "/page" && (r.Text != "sorry" || r.Header.Get("ETag") != "") {
				t.Errorf("%s with %q: %d %q, want %d", c.path, c.header, r.StatusCode, r.Text, c.want)
			}
		}
	}
}

// What proxy_hide_header hides from clients is not compared with their conditions either; what add_header says instead
// is not compared in any case.
func TestConditionsOfHiddenHeaders(t *testing.T) {
	o := newOrigin(t, originSays("abc", "Cache-Control", fresh, "ETag", `"e"`, "Last-Modified", modified))
	for _, c := range []struct {
		conf, header string
		want         string
	}{
		{`proxy_hide_header ETag;`, `If-None-Match: "e"`, "200"}, {`proxy_hide_header ETag;`, `If-Match: "e"`, "412"}, {`proxy_hide_header ETag;`, `If-None-Match: *`, "304"},
		{`proxy_hide_header ETag;`, "If-Modified-Since: " + modified, "304"}, {`proxy_hide_header Last-Modified;`, "If-Modified-Since: " + modified, "200"},
		{`proxy_hide_header Last-Modified;`, "If-Unmodified-Since: " + modified, "412"}, {`proxy_hide_header Last-Modified;`, `If-None-Match: "e"`, "304"},
		{`proxy_hide_header ETag; proxy_ignore_headers Cache-Control; proxy_cache_valid 1m;`, `If-None-Match: "e"`, "200"},
		{`add_header ETag '"mine"';`, `If-None-Match: "e"`, "304"}, {`add_header ETag '"mine"';`, `If-None-Match: "mine"`, "200"},
		{`proxy_hide_header ETag; add_header ETag '"mine"';`, `If-None-Match: "e"`, "200"}, {`proxy_hide_header ETag; add_header ETag '"mine"';`, `If-None-Match: "mine"`, "200"},
	} {
		s := o.cached(t, c.conf)
		for _, cache := range []string{"MISS", "HIT"} {
			text := ""
			if c.want == "200" {
				text = "abc"
			}
			if c.want == "412" {
				r := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\n" + c.header + "\r\n\r\n")
				if r.StatusCode != 412 {
					t.Errorf("%s with %s: %s", c.conf, c.header, r.Status)
				}
				continue
			}
			cacheStep(t, s.Client(), "GET / HTTP/1.1|"+c.header, cache, c.want, text)
		}
	}
}
