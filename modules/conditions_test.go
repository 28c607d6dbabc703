package modules_test

import (
	"os"
	"path/filepath"
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
	s := webtest.Start(t, []*web.Module{&core.Module, &static.Module, &ssi.Module, &authrequest.Module, webtest.Say()}, `
		server { root `+dir+`; default_type text/html; location = /page { ssi on; } location = /part { }
			location = /guarded { auth_request /part; say granted; } }`)
	for _, header := range []string{
		"If-Modified-Since: Fri, 02 Jan 2026 03:04:05 GMT", "If-Unmodified-Since: Fri, 02 Jan 2026 03:04:04 GMT",
	} {
		for target, want := range map[string]string{"/page": "abc", "/guarded": "granted"} {
			r := s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: a\r\n" + header + "\r\n\r\n")
			if r.StatusCode != 200 || r.Text != want {
				t.Errorf("%s with %s: %d %q, want %q", target, header, r.StatusCode, r.Text, want)
			}
		}
	}
}

// TestConditionsWithoutATime: a response without a valid Last-Modified is not compared with the client's time
// (RFC 9110, 13.1.3 and 13.1.4).
func TestConditionsWithoutATime(t *testing.T) {
	for _, modified := range [][]string{nil, {"Last-Modified", "yesterday"}} {
		o := newOrigin(t, originSays("x", append(modified, "Cache-Control", fresh)...))
		s := o.cached(t, `if_modified_since before;`)
		for _, header := range []string{"If-Modified-Since", "If-Unmodified-Since"} {
			request := "GET /" + header + " HTTP/1.1|" + header + ": Fri, 02 Jan 2026 03:04:05 GMT"
			cacheStep(t, s.Client(), request, "MISS", "200", "x")
			cacheStep(t, s.Client(), request, "HIT", "200", "x")
		}
	}
}
