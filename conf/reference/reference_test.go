package reference_test

import (
	"fmt"
	"strings"
	"testing"

	"starling/conf"
	"starling/conf/reference"
)

type settings struct{ Status int }

func set(any, *conf.Args) error { return nil }

// everywhere are the contexts of most directives of http.
const everywhere = conf.HTTP | conf.Server | conf.Location

var limits = &conf.Module{
	Name: "limit_req", Doc: "Limits the rate of requests per key.", New: conf.NewOf[settings], Clone: conf.CloneOf[settings],
	Directives: []conf.Directive{{
		Name: "limit_req", Syntax: "zone=<name> [burst=<number>] [nodelay|delay=<number>]", In: everywhere, Set: set,
		Doc: "Applies a zone.",
		Params: map[string]string{
			"zone":    "The zone.",
			"burst":   "Requests above the rate | that wait.",
			"nodelay": "They do not wait.",
			"delay":   "So many do not.",
		},
	}, {
		Name: "limit_req_dry_run", Syntax: "on | off", Default: "off", In: everywhere, Set: set, Doc: "Counts excess without rejecting.",
	}},
}

func ExamplePage() {
	fmt.Print(reference.Page(reference.Family{Module: limits, Text: "Any text.\n",
		Variables: []reference.Variable{{Name: "limit_req_status", Doc: "What became of the request."}, {Name: "http_", Prefix: true, Doc: "A header."}}}))
	// Output:
	// # limit_req
	//
	// Limits the rate of requests per key.
	//
	// ## Example
	//
	// Any text.
	//
	// ## Directives
	//
	// ### limit_req
	//
	// | | |
	// |---|---|
	// | Syntax | `limit_req zone=<name> [burst=<number>] [nodelay\|delay=<number>];` |
	// | Default | — |
	// | Context | http, server, location |
	//
	// Applies a zone.
	//
	// | Parameter | Meaning |
	// |---|---|
	// | `zone` | The zone. |
	// | `burst` | Requests above the rate \| that wait. |
	// | `nodelay` | They do not wait. |
	// | `delay` | So many do not. |
	//
	// ### limit_req_dry_run
	//
	// | | |
	// |---|---|
	// | Syntax | `limit_req_dry_run on \| off;` |
	// | Default | `limit_req_dry_run off;` |
	// | Context | http, server, location |
	//
	// Counts excess without rejecting.
	//
	// ## Variables
	//
	// | Variable | Value |
	// |---|---|
	// | `$limit_req_status` | What became of the request. |
	// | `$http_<name>` | A header. |
}

func TestCompatibility(t *testing.T) {
	own := &conf.Module{Name: "own", New: conf.NewOf[settings], Clone: conf.CloneOf[settings], Directives: []conf.Directive{
		{Name: "zone_sync_secret", Syntax: "<x>", In: conf.Stream, Set: set},
		{Name: "keyval_zone", Syntax: "zone=<name>:<size>", Unsupported: []string{"sync"}, In: conf.HTTP, Set: set},
		{Name: "allow", Syntax: "<address>", In: everywhere, Set: set},
		{Name: "pcre_jit", Syntax: "on | off", In: conf.Main, Set: set, NoEffect: true},
	}}
	page := reference.Compatibility([]*conf.Module{limits, own})
	for _, want := range []string{
		"starling has 5, and\naccepts 1 more without effect ([ignored](reference/main-ignored.md)).\n",
		"| `pcre_jit` | main | accepted without effect |\n",
		"Its own, unknown to nginx: `zone_sync_secret`.\n",
		"## ngx_http_limit_req_module\n",
		"| `limit_req` | http, server, location | yes |\n",
		"| `limit_req_log_level` | http, server, location | no |\n",
		"| `keyval` (NGINX Plus) | http | no |\n",
		"| `keyval_zone` (NGINX Plus) | http | in part: without `sync` |\n",
		"| `allow` | http, server, location, limit_except | in part: not in limit_except |\n",
		"| `allow` | stream, server | no |\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q; it begins %.300s", want, page)
		}
	}
}

// The table must hold at least what the seed and the design name, and nothing malformed.
func TestKnownDirectives(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range conf.KnownDirectives() {
		seen[k.Name] = true
		if k.In == 0 || !strings.HasPrefix(k.Module, "ngx_") || strings.Trim(k.Name, "abcdefghijklmnopqrstuvwxyz_0123456789") != "" {
			t.Errorf("malformed: %+v", k)
		}
		if k.Origin != "" && k.Origin != "plus" && k.Origin != "addon" {
			t.Errorf("origin of %+v", k)
		}
	}
	for _, name := range strings.Fields(`worker_connections http server location upstream stream mail zone_sync zone_sync_server
		zone_sync_interval keyval keyval_zone api sticky queue
		least_time limit_req_zone auth_jwt js_import health_check status_zone gzip ssl_certificate map geo`) {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
	if len(seen) < 700 {
		t.Errorf("only %d names", len(seen))
	}
}
