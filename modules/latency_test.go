package modules_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/admin"
	"starling/lib/testkit"
	"starling/modules"
	"starling/plan"
	"starling/stream/streamtest"
	"starling/web/webtest"
)

// latencies are the histograms in the answer of a resource, as "name buckets=count".
func latencies(t *testing.T, resources []admin.Resource, path string) string {
	t.Helper()
	var out []string
	for _, r := range resources {
		if r.Path != path {
			continue
		}
		text, err := json.Marshal(r.Handle(&admin.Call{Method: "GET", Version: 9}).Body)
		if err != nil {
			t.Fatal(err)
		}
		type object struct {
			Response *struct{ Buckets map[string]int } `json:"response_time_hist"`
			Session  *struct{ Buckets map[string]int } `json:"session_time_hist"`
		}
		var all map[string]struct {
			object
			Peers []object
		}
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			for _, o := range append(all[name].Peers, all[name].object) {
				for _, h := range []*struct{ Buckets map[string]int }{o.Response, o.Session} {
					if h != nil {
						out = append(out, name+" "+strings.Trim(fmt.Sprint(h.Buckets), "map[]"))
					}
				}
			}
		}
	}
	return strings.Join(out, "; ")
}

func expectLatencies(t *testing.T, resources []admin.Resource, path, want string) {
	t.Helper()
	testkit.Eventually(t, time.Minute, func() error {
		if got := latencies(t, resources, path); got != want {
			return errors.New(got + ", want " + want)
		}
		return nil
	})
}

// TestLatencies: zones and servers of groups count how long responses and sessions take, in the buckets that the
// configuration names. All take less than an hour.
func TestLatencies(t *testing.T) {
	b := webtest.Serve(t, func(p *webtest.Peer) {
		for p.Head() != "" {
			p.Answer("x")
		}
	})
	buckets := func(p *plan.Plan) { p.Latency = []time.Duration{time.Hour, 2 * time.Hour} }
	t.Run("http", func(t *testing.T) {
		s := webtest.Start(t, modules.Web(), `upstream u { zone u 64k; server `+b.Addr+`; } upstream unshown { server `+b.Addr+`; }
			server { status_zone z; location / { proxy_pass http://u; } location /u { proxy_pass http://unshown; } location /drop { return 444; } }
			server { server_name other; status_zone other; }`, buckets)
		for _, target := range []string{"/", "/", "/u", "/drop"} {
			s.Get(target)
		}
		expectLatencies(t, s.Site.Resources(), "http/server_zones", "other 3600000:0 7200000:0 inf:0; z 3600000:3 7200000:0 inf:0")
		expectLatencies(t, s.Site.Resources(), "http/upstreams", "u 3600000:2 7200000:0 inf:0")
		for _, r := range s.Site.Resources() {
			if r.Path == "http/server_zones" || r.Path == "http/upstreams" {
				r.Handle(&admin.Call{Method: "DELETE", Tail: []string{map[string]string{"http/server_zones": "z", "http/upstreams": "u"}[r.Path]}})
			}
		}
		expectLatencies(t, s.Site.Resources(), "http/server_zones", "other 3600000:0 7200000:0 inf:0; z 3600000:0 7200000:0 inf:0")
		expectLatencies(t, s.Site.Resources(), "http/upstreams", "u 3600000:0 7200000:0 inf:0")
	})
	t.Run("stream", func(t *testing.T) {
		s := streamtest.Start(t, `stream { upstream u { zone u 64k; server `+b.Addr+`; }
			server { listen 127.0.0.1:1; status_zone z; proxy_pass u; } server { listen 127.0.0.1:2; status_zone said; return hello; } }`,
			nil, modules.Stream()...)
		conn := s.Dial(0)
		if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		s.Ask(1)
		total := func(path string) int {
			n := 0
			for field := range strings.FieldsSeq(latencies(t, s.Site.Resources(), path)) {
				if _, count, is := strings.Cut(field, ":"); is && strings.Trim(count, ";") != "0" {
					n++
				}
			}
			return n
		}
		testkit.Eventually(t, time.Minute, func() error {
			if zones, servers := total("stream/server_zones"), total("stream/upstreams"); zones != 2 || servers != 1 {
				return fmt.Errorf("%d zones and %d servers have a session", zones, servers)
			}
			return nil
		})
	})
}

// A reload with other buckets begins to count anew; with the same ones it goes on.
func TestLatenciesOverAReload(t *testing.T) {
	buckets := func(bounds ...time.Duration) webtest.Option {
		return func(p *plan.Plan) { p.Latency = bounds }
	}
	const text = `server { status_zone z; return 204; }`
	one := webtest.Start(t, modules.Web(), text, buckets(time.Hour))
	one.Get("/")
	expectLatencies(t, one.Site.Resources(), "http/server_zones", "z 3600000:1 inf:0")
	same := webtest.Start(t, modules.Web(), text, buckets(time.Hour), webtest.After(one))
	same.Get("/")
	expectLatencies(t, same.Site.Resources(), "http/server_zones", "z 3600000:2 inf:0")
	other := webtest.Start(t, modules.Web(), text, buckets(time.Minute, 2*time.Minute), webtest.After(same))
	other.Get("/")
	expectLatencies(t, other.Site.Resources(), "http/server_zones", "z 120000:0 60000:1 inf:0")
}

// TestLatenciesOverAFailedReload: a reload with other buckets that fails in its last step leaves the histograms of the
// running configuration alone, also those of zones that variables name.
func TestLatenciesOverAFailedReload(t *testing.T) {
	buckets := func(bounds ...time.Duration) webtest.Option {
		return func(p *plan.Plan) { p.Latency = bounds }
	}
	const text = `server { status_zone z; return 204; } server { server_name v; status_zone $arg_zone; return 204; }`
	s := webtest.Start(t, modules.Web(), text, buckets(time.Hour))
	get := func(zone string) {
		s.Send("GET /?zone=" + zone + " HTTP/1.1\r\nHost: v\r\nConnection: close\r\n\r\n")
	}
	s.Get("/")
	get("a")
	_, err := webtest.Load(t, modules.Web(), text, buckets(time.Minute), webtest.After(s), lastStepFails)
	if !errors.Is(err, errLastStep) {
		t.Fatal(err)
	}
	s.Get("/")
	get("a")
	get("b")
	expectLatencies(t, s.Site.Resources(), "http/server_zones", "a 3600000:2 inf:0; b 3600000:1 inf:0; z 3600000:2 inf:0")
}
