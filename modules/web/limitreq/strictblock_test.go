package limitreq_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/admin"
	"starling/cluster/strict"
	"starling/lib/clock"
	"starling/lib/testkit"
	"starling/modules/web/limitreq"
	"starling/web/webtest"
)

// startStrict starts a server whose strict zones decide: it is the only member of its cluster.
func startStrict(t *testing.T, text string) *webtest.Server {
	t.Helper()
	s := webtest.Start(t, modules, text)
	for _, gate := range gates(s) {
		nowUS := clock.SteadyUS()
		config := strict.Config{IDs: []uint64{1}, Incarnation: 1, Limit: gate.Limit, LeaseUS: 150_000, KeysMost: gate.KeysMost}
		gate.Open(strict.New(config, nowUS), []string{"this:9000"}, func(strict.Envelope) {}, func() {})
		gate.Install(strict.View{Number: 1, Members: []strict.Member{{Incarnation: 1, Birth: 1}}, Founding: true}, nowUS)
		gate.Tick(nowUS + 1)
	}
	return s
}

// gates are those of the strict zones of a server.
func gates(s *webtest.Server) (list []*strict.Gate) {
	for _, z := range s.Plan.Zones.All() {
		if gate := z.Value.(*limitreq.Zone).Gate(); gate != nil {
			list = append(list, gate)
		}
	}
	return list
}

// outcomes are the values of $limit_req_status of n requests, or their statuses if they are rejected.
func outcomes(s *webtest.Server, target string, n int) string {
	var all []string
	for range n {
		answer := s.Get(target)
		if _, body, _ := strings.Cut(answer, "\r\n\r\n"); strings.Fields(answer)[1] == "200" {
			all = append(all, body)
		} else {
			all = append(all, strings.Fields(answer)[1])
		}
	}
	return strings.Join(all, " ")
}

// step is a request that is made some times, and what comes of it.
type step struct {
	target string
	times  int
	want   string
}

func walk(t *testing.T, s *webtest.Server, steps []step) {
	t.Helper()
	for i, step := range steps {
		if got := outcomes(s, step.target, step.times); got != step.want {
			t.Errorf("step %d: %d times %s: %s, want %s", i, step.times, step.target, got, step.want)
		}
	}
}

// passedBy are the requests that the zones passed, delayed and rejected, and the same of dry runs.
func passedBy(s *webtest.Server, zone string) string {
	answer := s.Resource("http/limit_reqs").Handle(&admin.Call{Method: "GET", Version: 9, Tail: []string{zone}})
	return fmt.Sprintf("%+v", answer.Body)
}

// shows is what the API shows of a zone.
func shows(t *testing.T, s *webtest.Server, zone string) string {
	t.Helper()
	answer := s.Resource("starling/http/limit_reqs").Handle(&admin.Call{Method: "GET", Version: 9, Tail: []string{zone}})
	text, err := json.Marshal(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A block with a strict zone and one that is not: each limits, in whatever order they are written; who passes is charged
// in both, who is rejected by one is not charged in the other.
func TestAStrictZoneBesideAnother(t *testing.T) {
	const zones = `limit_req_zone $arg_s zone=firm:32k rate=1r/m sync strict; limit_req_zone $arg_p zone=plain:32k rate=1r/m;`
	const firm, plain = "limit_req zone=firm burst=3 nodelay;", "limit_req zone=plain burst=1 nodelay;"
	for _, both := range []string{firm + plain, plain + firm} {
		s := startStrict(t, zones+`server { location / { `+both+` say $limit_req_status; }
			location /firm { `+firm+` say $limit_req_status; } location /plain { `+plain+` say $limit_req_status; } }`)
		walk(t, s, []step{
			{"/?s=a&p=a", 4, "PASSED PASSED 503 503"}, // by the plain zone
			{"/firm?s=a", 3, "PASSED PASSED 503"},     // which charged the strict one for two only
			{"/?s=b&p=b1", 2, "PASSED PASSED"},
			{"/?s=b&p=b2", 2, "PASSED PASSED"},
			{"/?s=b&p=b3", 1, "503"},                // by the strict zone
			{"/plain?p=b3", 3, "PASSED PASSED 503"}, // which did not charge the plain one
			{"/?s=c&p=c", 1, "PASSED"},
			{"/plain?p=c", 2, "PASSED 503"},
			{"/?p=d", 3, "PASSED PASSED 503"}, // a key that is empty does not count
			{"/?s=e", 5, "PASSED PASSED PASSED PASSED 503"},
			{"/", 3, "  "},
		})
		if got := passedBy(s, "firm"); got != "{Passed:15 Delayed:0 Rejected:3 DelayedDryRun:0 RejectedDryRun:0}" {
			t.Errorf("%s: the strict zone has %s", both, got)
		}
		for _, z := range s.Plan.Zones.All() { // the buckets of a strict zone are for the time when it is additive
			if z := z.Value.(*limitreq.Zone); z.Strict() && z.Unwrap().Stats().Records != 0 {
				t.Errorf("%s: a request that the members admitted is charged to the node's own bucket, too", both)
			}
		}
	}
}

// Delays are those of the zones that are not strict. No request waits for the strict one: its tickets are those of all
// bubbles.
func TestADelayBesideAStrictZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startStrict(t, `limit_req_zone $arg_s zone=firm:32k rate=1r/m sync strict; limit_req_zone $arg_p zone=plain:32k rate=2r/s;
			server { location / { limit_req zone=firm burst=19 nodelay; limit_req zone=plain burst=5 delay=1; say $limit_req_status; }
				location /dry { limit_req_dry_run on; limit_req zone=firm burst=19 nodelay; limit_req zone=plain burst=2; say $limit_req_status; } }`)
		began := time.Now()
		walk(t, s, []step{{"/?s=a&p=a", 3, "PASSED PASSED DELAYED"}})
		if took := time.Since(began); took != 500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		walk(t, s, []step{{"/dry?s=b&p=b", 4, "PASSED DELAYED_DRY_RUN DELAYED_DRY_RUN REJECTED_DRY_RUN"}})
		if took := time.Since(began); took != 500*time.Millisecond {
			t.Errorf("a dry run takes until %v", took)
		}
		for zone, want := range map[string]string{
			"firm":  "{Passed:6 Delayed:0 Rejected:0 DelayedDryRun:0 RejectedDryRun:0}",
			"plain": "{Passed:3 Delayed:1 Rejected:0 DelayedDryRun:2 RejectedDryRun:1}",
		} {
			if got := passedBy(s, zone); got != want {
				t.Errorf("zone %s has %s, want %s", zone, got, want)
			}
		}
	})
}

// Several strict zones limit in their order. What a later one rejects counts in those before, as the docs say.
func TestSeveralStrictZones(t *testing.T) {
	s := startStrict(t, `limit_req_zone $arg_s zone=one:32k rate=1r/m sync strict; limit_req_zone $arg_s zone=two:32k rate=1r/m sync strict;
		server {
			location / { limit_req zone=one burst=3 nodelay; limit_req zone=two burst=1 nodelay; say $limit_req_status; }
			location /one { limit_req zone=one burst=3 nodelay; say $limit_req_status; }
			location /two { limit_req zone=two burst=1 nodelay; say $limit_req_status; }
			location /dry { limit_req_dry_run on; limit_req zone=one burst=3 nodelay; limit_req zone=two burst=1 nodelay; say $limit_req_status; } }`)
	walk(t, s, []step{
		{"/?s=a", 3, "PASSED PASSED 503"},
		{"/one?s=a", 2, "PASSED 503"},
		{"/one?s=b", 4, "PASSED PASSED PASSED PASSED"},
		{"/?s=b", 1, "503"}, // by the first, so the second is not charged
		{"/two?s=b", 3, "PASSED PASSED 503"},
		{"/dry?s=c", 3, "PASSED PASSED REJECTED_DRY_RUN"},
		{"/two?s=c", 1, "503"},
	})
}

// A request counts once in a strict zone, even after internal redirects, and not in the zones of where it comes to.
func TestStrictZonesCountOncePerRequest(t *testing.T) {
	s := startStrict(t, `limit_req_zone $arg_s zone=one:32k rate=1r/m sync strict; limit_req_zone $arg_s zone=two:32k rate=1r/m sync strict;
		server { error_page 404 /found; error_page 503 /limited;
			location /missing { limit_req zone=one burst=1 nodelay; }
			location /found { limit_req zone=two nodelay; say $limit_req_status; }
			location /limited { limit_req zone=two nodelay; say $limit_req_status; } }`)
	answer := func(target string) string {
		_, body, _ := strings.Cut(s.Get(target), "\r\n\r\n")
		return body
	}
	for i, want := range []string{"PASSED", "PASSED", "REJECTED"} {
		if got := answer("/missing?s=a"); got != want {
			t.Errorf("request %d: %q, want %s", i, got, want)
		}
	}
	walk(t, s, []step{{"/found?s=a", 1, "PASSED"}})
	if got := answer("/found?s=a"); got != "REJECTED" {
		t.Errorf("zone two is charged by requests to /found only: %q", got)
	}
}

// Without contact to the majority, a zone with strict_fallback=share admits its share, and counts it as such.
func TestAShareWithoutAMajority(t *testing.T) {
	s := webtest.Start(t, modules, `limit_req_zone $arg_k zone=one:32k rate=1000r/s sync strict strict_fallback=share;
		limit_req_zone $arg_k zone=slow:32k rate=1r/m sync strict strict_fallback=share;
		server { limit_req_status 429; location / { limit_req zone=one burst=9 nodelay; say $limit_req_status; }
			location /slow { limit_req zone=slow burst=9 nodelay; say x; } }`)
	if got := outcomes(s, "/?k=a", 1); got != "429" {
		t.Errorf("before the members are known: %s", got)
	}
	for _, gate := range gates(s) {
		gate.Among(2)
	}
	if got := outcomes(s, "/slow?k=a", 2); got != "429 429" {
		t.Errorf("a share begins full: %s", got)
	}
	const why = `limiting requests by strict zone "slow": this node does not reach the majority of the members, and its share of the limit is used up`
	if lines := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(lines, why) {
		t.Errorf("the log has\n%s", lines)
	}
	rejected := 0
	testkit.Eventually(t, time.Minute, func() error { // it drains at 500 r/s, in real time
		if got := outcomes(s, "/?k=a", 1); got != "PASSED" {
			rejected++
			return fmt.Errorf("a request gets %s", got)
		}
		return nil
	})
	shown := shows(t, s, "one")
	for _, want := range []string{
		`"fallback":"share","in_fallback":true,"fallback_admitted":1,"fallback_rejected":` + fmt.Sprint(rejected), `"no_lease":1,`,
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("the API shows %s, want %s", shown, want)
		}
	}
}

// A reload changes what a running zone does without a majority, and keeps its gate.
func TestAReloadChangesTheFallback(t *testing.T) {
	const text = `limit_req_zone $arg_k zone=one:32k rate=1r/s sync strict FALLBACK; server { limit_req zone=one; location / { say x; } }`
	load := func(fallback string, options ...webtest.Option) *webtest.Server {
		return webtest.Start(t, modules, strings.Replace(text, "FALLBACK", fallback, 1), options...)
	}
	first := load("")
	gate := gates(first)[0]
	if gate.Shares() {
		t.Error("the default is not to refuse")
	}
	second := load("strict_fallback=share", webtest.After(first))
	if gates(second)[0] != gate || !gate.Shares() {
		t.Errorf("share: the same gate %v, shares %v", gates(second)[0] == gate, gate.Shares())
	}
	third := load("strict_fallback=refuse", webtest.After(second))
	if gates(third)[0] != gate || gate.Shares() {
		t.Errorf("refuse: the same gate %v, shares %v", gates(third)[0] == gate, gate.Shares())
	}
}

// The API names the keys of a strict zone as those of others, as far as this node knows, and who holds what.
func TestKeysOfStrictZones(t *testing.T) {
	s := startStrict(t, `limit_req_zone $arg_k zone=one:32k rate=1r/m sync strict;
		server { location / { limit_req zone=one burst=9 nodelay; say x; } }`)
	outcomes(s, "/?k=a", 2)
	outcomes(s, "/?k=b", 7)
	shown := shows(t, s, "one")
	want := `^{"rate":16,"burst":9000,"keys":\[{"key":"b","excess":(7000|6[5-9]\d\d)},{"key":"a","excess":(2000|1[5-9]\d\d)}\],"strict":{"state":"member",`
	if !regexp.MustCompile(want).MatchString(shown) {
		t.Errorf("%s, want %s", shown, want)
	}
	want = `"keys":\[{"key":"b","capacity":\d+,"level":\d+,"owner":"this:9000","mode":"shared"(,"pool":\d+)?,"holders":{"this:9000":\d+}},{"key":"a","capacity":5000,`
	if !regexp.MustCompile(want).MatchString(shown) {
		t.Errorf("%s, want %s", shown, want)
	}
}
