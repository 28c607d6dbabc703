package limitconn_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"starling/admin"
	"starling/cluster/strict"
	"starling/lib/clock"
	"starling/lib/exposition"
	"starling/modules/web/core"
	"starling/modules/web/limitconn"
	"starling/web"
	"starling/web/webtest"
)

// connGates are those of the strict zones of a server.
func connGates(s *webtest.Server) (list []*strict.Gate) {
	for _, z := range s.Plan.Zones.All() {
		if strictly, ok := z.Value.(interface{ Gate() *strict.Gate }); ok && strictly.Gate() != nil {
			list = append(list, strictly.Gate())
		}
	}
	return list
}

// decide makes the strict zones of a server decide: it is the only member of its cluster.
func decide(s *webtest.Server) {
	for _, gate := range connGates(s) {
		nowUS := clock.SteadyUS()
		limit, keys := gate.ConnLimit()
		config := strict.Config{IDs: []uint64{1}, Incarnation: 1, Slots: limit, LeaseUS: 5_000_000, KeysMost: keys}
		gate.Open(strict.New(config, nowUS), []string{"this:9000"}, func(strict.Envelope) {}, func() {})
		gate.Install(strict.View{Number: 1, Members: []strict.Member{{Incarnation: 1, Birth: 1}}, Founding: true}, nowUS)
		gate.Tick(nowUS + 1)
	}
}

// A strict zone that belongs to no cluster yet admits nothing: it cannot know what others have. A dry run says so.
func TestAStrictZoneAloneRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := webtest.Start(t, []*web.Module{&core.Module, &limitconn.Module, webtest.Say()}, `
			limit_conn_zone $arg_k zone=one:32k sync strict;
			limit_conn_zone $arg_k zone=other:32k sync;
			server { limit_conn_status 429; location / { limit_conn one 2; limit_conn other 2; say $limit_conn_status; }
				location /dry { limit_conn one 2; limit_conn_dry_run on; say $limit_conn_status; } }`)
		for target, want := range map[string]string{"/?k=a": " 429 ", "/": " 200 ", "/dry?k=a": "REJECTED_DRY_RUN"} {
			if got := s.Get(target); !strings.Contains(got, want) {
				t.Errorf("%s: %q", target, got)
			}
		}
		if lines := s.Log.Lines(); !slices.ContainsFunc(lines, func(l string) bool {
			return strings.Contains(l, `limiting connections by strict zone "one": zone_sync has not started`)
		}) {
			t.Errorf("the reason is not logged: %q", lines)
		}
		page := new(exposition.Page)
		for _, r := range s.Site.Resources() {
			if err := r.Expose(page); err != nil {
				t.Fatal(err)
			}
		}
		text := string(page.Append(nil))
		for name, want := range map[string]string{"no_lease_total": "2", "ended_total": "0", "view": "0", "keys_held": "0"} {
			if line := "\nstarling_limit_connection_strict_" + name + `{zone="one"} ` + want + "\n"; !strings.Contains(text, line) {
				t.Errorf("no line %s", strings.TrimSpace(line))
			}
		}
		if strings.Contains(text, `strict_view{zone="other"}`) {
			t.Error("the zone that is not strict has a view")
		}
	})
}

// A strict zone counts, rejects and frees like another one, and can end what it counts: the client sees the end of its
// connection, and the request leaves the zone.
func TestAStrictZoneEndsItsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait, answers := waiter()
		s := webtest.Start(t, []*web.Module{&core.Module, &limitconn.Module, wait}, `
			limit_conn_zone $arg_k zone=one:32k sync strict;
			limit_conn_zone $arg_l zone=plain:32k;
			server { limit_conn plain 2; limit_conn one 2; location / { } }`)
		decide(s)
		first, second := s.Client(), s.Client()
		for _, c := range []*webtest.Client{first, second} {
			c.Write(get("a"))
		}
		synctest.Wait()
		// The zone before is left again.
		for range 3 {
			if r := s.Client().Do(strings.Replace(get("a"), "k=a", "k=a&l=x", 1)); r.StatusCode != 503 {
				t.Errorf("the third of two gets %d", r.StatusCode)
			}
		}
		shown := held(t, s)
		if want := regexp.MustCompile(`^\{"keys":\[\{"key":"a","connections":2,"here":2\}\],"strict":\{"state":"member","view":1,` +
			`"members":\["this:9000"\],"admitted":2,.*"fallback":"refuse",.*"limit":2,"ended":0,"keys":\[\{"key":"a","connections":2,` +
			`"slots":2,"owner":"this:9000","free":0,"holders":\{"this:9000":2\}\}\]\}\}$`); !want.MatchString(shown) {
			t.Errorf("held are %s", shown)
		}
		answers <- "x"
		answers <- "x"
		first.Read("GET")
		second.Read("GET")
		first.Write(get("a"))
		synctest.Wait()
		ends := connGates(s)[0].EndAll()
		if len(ends) != 1 {
			t.Fatalf("%d connections would be ended", len(ends))
		}
		ends[0]()
		answers <- "x" // nobody reads it
		synctest.Wait()
		if got := held(t, s); !strings.HasPrefix(got, `{"keys":[],`) || !strings.Contains(got, `"ended":1,`) {
			t.Errorf("it still counts: %s", got)
		}
		figures := s.Resource("http/limit_conns").Handle(&admin.Call{Method: "GET", Version: 9, Tail: []string{"one"}})
		if got := fmt.Sprintf("%+v", figures.Body); got != "{Passed:3 Rejected:3 RejectedDryRun:0}" {
			t.Errorf("figures are %s", got)
		}
	})
}
