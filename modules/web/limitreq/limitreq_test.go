package limitreq_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/admin"
	"starling/modules/web/core"
	"starling/modules/web/limitreq"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &limitreq.Module, webtest.Say()}

func status(s *webtest.Server, target string) string { return strings.Fields(s.Get(target))[1] }

func statuses(s *webtest.Server, target string, n int) string {
	var all []string
	for range n {
		all = append(all, status(s, target))
	}
	return strings.Join(all, " ")
}

// Time stands still in a bubble unless everybody waits, so the answers are exact.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, modules, `
			limit_req_zone $arg_k zone=one:32k rate=1r/s;
			server { limit_req_status 429; location / { limit_req zone=one burst=2 nodelay; say $limit_req_status; } }`)
		if got := statuses(s, "/?k=a", 4); got != "200 200 200 429" {
			t.Errorf("burst: %s", got)
		}
		if got := statuses(s, "/", 4); got != "200 200 200 200" {
			t.Errorf("an empty key: %s", got)
		}
		time.Sleep(time.Second)
		if got := statuses(s, "/?k=a", 2); got != "200 429" {
			t.Errorf("a second later: %s", got)
		}
		if got := s.Get("/?k=b"); !strings.HasSuffix(got, "\r\n\r\nPASSED") {
			t.Errorf("another key: %q", got)
		}
	})
}

// TestALongKeyIsCounted: nobody gets past a limit by a key that is too long to be kept, in the last zone of several or
// before.
func TestALongKeyIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, modules, `
			limit_req_zone `+strings.Repeat("$arg_k", 10)+` zone=long:32k rate=1r/m; limit_req_zone $arg_none zone=other:32k rate=1r/m;
			server { location / { limit_req zone=long burst=1 nodelay; say x; } location /first { limit_req zone=long; limit_req zone=other; say x; } }`)
		long := strings.Repeat("x", 7000)
		if got := statuses(s, "/?k="+long, 3); got != "200 200 503" {
			t.Errorf("got %s", got)
		}
		if got := statuses(s, "/?k="+long[1:]+"y", 3); got != "200 200 503" {
			t.Errorf("another key: %s", got)
		}
		if got := statuses(s, "/first?k="+long[2:]+"zz", 2); got != "200 503" {
			t.Errorf("not the last zone: %s", got)
		}
	})
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, modules, `
			limit_req_zone $arg_k zone=one:32k rate=2r/s;
			server {
				location /all { limit_req zone=one burst=5; say $limit_req_status; }
				location /some { limit_req zone=one burst=5 delay=1; say $limit_req_status; }
			}`)
		for _, c := range []struct {
			target, answer string
			took           time.Duration
		}{
			{"/all?k=a", "PASSED", 0},
			{"/all?k=a", "DELAYED", 500 * time.Millisecond},
			{"/all?k=a", "DELAYED", 500 * time.Millisecond},
			{"/some?k=b", "PASSED", 0},
			{"/some?k=b", "PASSED", 0},
			{"/some?k=b", "DELAYED", 500 * time.Millisecond},
		} {
			began := time.Now()
			got := s.Get(c.target)
			if took := time.Since(began); !strings.HasSuffix(got, "\r\n\r\n"+c.answer) || took != c.took {
				t.Errorf("%s: %q after %v, want %s after %v", c.target, got, took, c.answer, c.took)
			}
		}
	})
}

func TestLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, modules, `
			limit_req_zone $arg_k zone=one:32k rate=1r/s;
			server { server_name here;
				location / { limit_req zone=one burst=1; say x; }
				location /dry { limit_req zone=one; limit_req_dry_run on; limit_req_log_level info; say $limit_req_status; }
			}`)
		statuses(s, "/?k=a", 2)
		lines := strings.Join(s.Log.Lines(), "\n")
		want := `[warn] *2 delaying request, excess: 1.000, by zone "one", client: unix:, server: here, request: "GET /?k=a HTTP/1.1", host: "localhost"`
		if lines != want {
			t.Errorf("got %s\nwant %s", lines, want)
		}
		statuses(s, "/dry?k=b", 1)
		if got := s.Get("/dry?k=b"); !strings.HasSuffix(got, "\r\n\r\nREJECTED_DRY_RUN") {
			t.Errorf("dry run: %q", got)
		}
		want = `[info] *4 limiting requests, dry run, excess: 1.000 by zone "one", client: unix:, server: here, request: "GET /dry?k=b HTTP/1.1", host: "localhost"`
		if lines := strings.Join(s.Log.Lines(), "\n"); lines != want {
			t.Errorf("got %s\nwant %s", lines, want)
		}
	})
}

// A request that one zone rejects costs nothing in the others.
func TestSeveralLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, modules, `
			limit_req_zone $arg_a zone=a:32k rate=1r/s;
			limit_req_zone $arg_b zone=b:32k rate=1r/s;
			server {
				location / { limit_req zone=a burst=3 nodelay; limit_req zone=b nodelay; say $limit_req_status; }
				location /a { limit_req zone=a burst=3 nodelay; say $limit_req_status; }
			}`)
		if got := statuses(s, "/?a=x&b=y", 3); got != "200 503 503" {
			t.Errorf("both: %s", got)
		}
		if got := statuses(s, "/a?a=x", 4); got != "200 200 200 503" {
			t.Errorf("a alone, after one request: %s", got)
		}
		if got := statuses(s, "/?a=z", 5); got != "200 200 200 200 503" {
			t.Errorf("with b's key empty: %s", got)
		}
	})
}

func TestOncePerRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, modules, `
			limit_req_zone $arg_k zone=one:32k rate=1r/s;
			server { error_page 404 /found; limit_req zone=one; location /missing { } location /found { say found; } }`)
		if got := s.Get("/missing?k=a"); !strings.HasSuffix(got, "found") {
			t.Errorf("an internal redirect counts again: %q", got)
		}
	})
}

func TestReload(t *testing.T) {
	const zone = "limit_req_zone $arg_k zone=one:32k rate=1r/s;"
	const server = "server { limit_req zone=one; location / { say x; } }"
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, modules, zone+server)
		statuses(s, "/?k=a", 1)
		again := webtest.Start(t, modules, strings.Replace(zone, "1r/s", "2r/s", 1)+server, webtest.After(s))
		if got := status(again, "/?k=a"); got != "503" {
			t.Errorf("the bucket is gone: %s", got)
		}
		time.Sleep(500 * time.Millisecond)
		if got := status(again, "/?k=a"); got != "200" {
			t.Errorf("the new rate does not count: %s", got)
		}
		bigger := webtest.Start(t, modules, strings.Replace(zone, "32k", "64k", 1)+server, webtest.After(again))
		if got := status(bigger, "/?k=a"); got != "503" {
			t.Errorf("another size drops the buckets: %s", got)
		}
		_, err := webtest.Load(t, modules, strings.Replace(zone, "$arg_k", "$uri", 1)+server, webtest.After(s))
		if want := `limit_req "one" uses the "$uri" key while previously it used the "$arg_k" key in /test.conf:1`; err == nil || err.Error() != want {
			t.Errorf("another key: %v", err)
		}
	})
}

func TestAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, modules, `limit_req_zone $arg_k zone=one:32k rate=1r/s;
			server { limit_req zone=one burst=1; location / { say x; } location /dry { limit_req_dry_run on; say x; } }`)
		statuses(s, "/?k=a", 2)
		status(s, "/dry?k=b")
		status(s, "/dry?k=b")
		status(s, "/dry?k=b")
		resource := s.Resource("http/limit_reqs")
		call := func(method string, tail ...string) string {
			a := resource.Handle(&admin.Call{Method: method, Version: 9, Tail: tail})
			if a.Err != nil {
				return fmt.Sprint(a.Err.Status, " ", a.Err.Code)
			}
			return fmt.Sprintf("%d %+v", a.Status, a.Body)
		}
		for _, c := range []struct{ got, want string }{
			{call("GET"), "0 map[one:{Passed:2 Delayed:1 Rejected:0 DelayedDryRun:1 RejectedDryRun:1}]"},
			{call("GET", "one"), "0 {Passed:2 Delayed:1 Rejected:0 DelayedDryRun:1 RejectedDryRun:1}"},
			{call("GET", "two"), "404 LimitReqNotFound"},
			{call("GET", "one", "x"), "404 PathNotFound"},
			{call("DELETE"), "405 MethodNotAllowed"},
			{call("DELETE", "one"), "204 <nil>"},
			{call("GET", "one"), "0 {Passed:0 Delayed:0 Rejected:0 DelayedDryRun:0 RejectedDryRun:0}"},
		} {
			if c.got != c.want {
				t.Errorf("got %s, want %s", c.got, c.want)
			}
		}
	})
}

func TestMistakes(t *testing.T) {
	const zone = "limit_req_zone $uri zone=one:32k rate=1r/s;"
	for text, problem := range map[string]string{
		`limit_req_zone $uri zone=:1x;`:                       `invalid zone size "zone=:1x"`,
		`limit_req_zone $uri zone=:1k;`:                       `zone "zone=:1k" is too small`,
		`limit_req_zone $uri zone=one:;`:                      `invalid zone size "zone=one:"`,
		`limit_req_zone $uri zone=;`:                          `invalid zone size "zone="`,
		`limit_req_zone $uri zone=one rate=1r/s;`:             `invalid zone size "zone=one"`,
		`limit_req_zone $uri zone=one:1x rate=1r/s;`:          `invalid zone size "zone=one:1x"`,
		`limit_req_zone $uri zone=one:31k rate=1r/s;`:         `zone "zone=one:31k" is too small`,
		`limit_req_zone $uri zone=:32k rate=1r/s;`:            `"limit_req_zone" must have "zone" parameter`,
		`limit_req_zone $uri rate=1r/s x;`:                    `invalid parameter "x"`,
		`limit_req_zone $uri zone=one:32k rate=0r/s;`:         `invalid rate "rate=0r/s"`,
		`limit_req_zone $uri zone=one:32k rate=1r/h;`:         `invalid rate "rate=1r/h"`,
		zone + `limit_req_zone $host zone=one:32k rate=1r/s;`: `limit_req_zone "one" is already bound to key "$uri"`,
		zone + `limit_req_zone $host zone=one:64k rate=1r/s;`: `the size 65536 of shared memory zone "one" conflicts with already declared size 32768`,
		zone + `limit_req zone=one burst=0;`:                  `invalid burst value "burst=0"`,
		zone + `limit_req zone=one delay=x;`:                  `invalid delay value "delay=x"`,
		zone + `limit_req zone=one fast;`:                     `invalid parameter "fast"`,
		zone + `limit_req burst=5;`:                           `"limit_req" must have "zone" parameter`,
		zone + `limit_req zone=one; limit_req zone=one;`:      `"limit_req" directive is duplicate`,
		`limit_req_status 399;`:                               `value must be between 400 and 599`,
		`limit_req_log_level debug;`:                          `invalid value "debug"`,
	} {
		_, err := webtest.Load(t, modules, "\n"+text+"\n server { }")
		if want := problem + " in /test.conf:2"; err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}
