package limitreq_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"starling/lib/exposition"
	"starling/web/webtest"
)

// A strict limit is checked before it is accepted: what it cannot hold is an error.
func TestWhatAStrictLimitRequires(t *testing.T) {
	for _, c := range []struct{ zone, limit, want string }{
		{"rate=1r/s sync strict", "limit_req zone=one burst=5 nodelay;", ""},
		{"rate=1r/s sync strict", "limit_req zone=one;", ""},
		{"rate=1r/s strict", "limit_req zone=one;", `"strict" requires "sync" in limit_req_zone "one"`},
		{"rate=1r/s sync strict strict_fallback=share", "limit_req zone=one burst=5 nodelay;", ""},
		{"rate=1r/s sync strict strict_fallback=refuse", "limit_req zone=one burst=5 nodelay;", ""},
		{
			"rate=1r/s sync strict_fallback=share", "limit_req zone=one;",
			`"strict_fallback" requires "strict" in limit_req_zone "one"`,
		},
		{"rate=1r/s sync strict strict_fallback=half", "limit_req zone=one;", `invalid parameter "strict_fallback=half"`},
		{"rate=1r/s sync strict strict_fallback", "limit_req zone=one;", `invalid parameter "strict_fallback"`},
		{
			"rate=1r/s sync strict", "limit_req zone=one burst=5;",
			`limit_req with the strict zone "one" requires "nodelay": a strict limit admits requests at once or rejects them`,
		},
		{
			"rate=1r/s sync strict", "limit_req zone=one burst=5 delay=2;",
			`limit_req with the strict zone "one" requires "nodelay": a strict limit admits requests at once or rejects them`,
		},
		{
			"rate=1r/s sync strict", "limit_req zone=one burst=5 nodelay; location / { limit_req zone=one burst=6 nodelay; }",
			`limit_req with the strict zone "one" must have the same burst everywhere: 6 here, 5`,
		},
		{
			"rate=1r/s sync strict", "limit_req zone=one burst=1000000001 nodelay;",
			`the burst of the strict zone "one" must be at most 1000000000`,
		},
		{"rate=1r/s sync", "limit_req zone=one burst=5; location / { limit_req zone=one burst=6 delay=2; }", ""},
	} {
		text := "limit_req_zone $arg_k zone=one:32k " + c.zone + ";\nserver { " + c.limit + " }"
		_, err := webtest.Load(t, modules, text)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %s\ngot  %v\nwant %s", c.zone, c.limit, err, c.want)
		}
	}
}

// A strict zone that belongs to no cluster yet admits nothing: it cannot know what others admit.
func TestAStrictZoneAloneRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, modules, `
			limit_req_zone $arg_k zone=one:32k rate=1r/s sync strict;
			server { limit_req_status 429; location / { limit_req zone=one burst=2 nodelay; say $limit_req_status; }
				location /dry { limit_req zone=one burst=2 nodelay; limit_req_dry_run on; say $limit_req_status; } }`)
		if got := statuses(s, "/?k=a", 2); got != "429 429" {
			t.Errorf("got %s", got)
		}
		if got := statuses(s, "/", 2); got != "200 200" {
			t.Errorf("an empty key: %s", got)
		}
		if got := statuses(s, "/dry?k=a", 1); got != "200" {
			t.Errorf("dry run: %s", got)
		}
	})
}

// The metrics of strict zones are read from the API's answer. Zones that are not strict have none.
func TestMetricsOfStrictZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, modules, `
			limit_req_zone $arg_k zone=one:32k rate=1r/s sync strict;
			limit_req_zone $arg_k zone=other:32k rate=1r/s sync;
			server { location / { limit_req zone=one burst=2 nodelay; limit_req zone=other; say x; } }`)
		statuses(s, "/?k=a", 3)
		page := new(exposition.Page)
		for _, r := range s.Site.Resources() {
			if err := r.Expose(page); err != nil {
				t.Fatal(err)
			}
		}
		text := string(page.Append(nil))
		for name, want := range map[string]string{
			"no_lease_total": "3", "waited_total": "0", "asks_total": "0", "grants_total": "0", "recalls_total": "0",
			"returns_total": "0", "keys_held": "0", "keys_owned": "0", "view": "0",
		} {
			if line := "\nstarling_limit_request_strict_" + name + `{zone="one"} ` + want + "\n"; !strings.Contains(text, line) {
				t.Errorf("no line %s", strings.TrimSpace(line))
			}
		}
		if strings.Contains(text, `strict_view{zone="other"}`) {
			t.Error("the zone that is not strict has a view")
		}
		if t.Failed() {
			t.Log(text)
		}
	})
}
