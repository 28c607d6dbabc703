package conf_test

import (
	"fmt"
	"strings"
	"testing"

	"starling/conf"
)

func ExampleReference() {
	m := *limitModule
	m.Directives = m.Directives[2:4]
	fmt.Print(conf.Reference(&m))
	// Output:
	// # limit_req
	//
	// Limits the rate of requests per key with a leaky bucket.
	//
	// ## limit_req_status
	//
	// | | |
	// |---|---|
	// | Syntax | `limit_req_status <code>;` |
	// | Default | `limit_req_status 503;` |
	// | Context | http, server, location |
	//
	// Sets the status of rejected requests.
	//
	// ## limit_req_dry_run
	//
	// | | |
	// |---|---|
	// | Syntax | `limit_req_dry_run on \| off;` |
	// | Default | `limit_req_dry_run off;` |
	// | Context | http, server, location |
	//
	// Counts excess without rejecting.
}

func TestCompatibility(t *testing.T) {
	set := func(any, *conf.Args) error { return nil }
	own := &conf.Module{Name: "own", New: conf.NewOf[coreSettings], Clone: conf.CloneOf[coreSettings], Directives: []conf.Directive{
		{Name: "zone_sync_secret", Syntax: "<x>", In: conf.Stream, Set: set},
		{Name: "keyval_zone", Syntax: "zone=<name>:<size>", Unsupported: []string{"sync"}, In: conf.HTTP, Set: set},
	}}
	page := conf.Compatibility([]*conf.Module{coreModule, limitModule, own})
	for _, want := range []string{
		"starling has 14.\n",
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
