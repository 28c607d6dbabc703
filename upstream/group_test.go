package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/lib/clock"
	"starling/lib/stripes"
)

var start = clock.Reading{WallMS: 1_700_000_000_000, MonoMS: 1 << 32}

// turns is a plain round robin, so that these tests need no method of package balance.
type turns struct{}

func (turns) Choose(set *Set, a *Attempt, wanted *Server) *Server {
	var round Smooth
	for _, s := range set.Servers() {
		if a.Usable(s) {
			round.Offer(a, s)
		}
	}
	return round.Take(wanted)
}

func tcp(text string) Address { return TCP(netip.MustParseAddrPort(text)) }

func groupOf(t testing.TB, addrs ...string) *Group {
	t.Helper()
	g := NewGroup("u", turns{})
	for _, a := range addrs {
		if _, err := g.Add(NewSettings(a, tcp(a)), start); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// pick chooses once and frees at once.
func pick(t testing.TB, g *Group, now clock.Reading) string {
	t.Helper()
	var a Attempt
	g.Begin(&a)
	s, err := a.Pick(now)
	if err != nil {
		return err.Error()
	}
	a.Free(Success, now)
	return s.Addr.Text
}

func set[T any](v T) *T { return &v }

func TestServersAreEditedWhileRunning(t *testing.T) {
	g := groupOf(t, "10.0.0.1:80", "10.0.0.2:80")
	if err := g.Remove(0, start); err != nil {
		t.Fatal(err)
	}
	s, err := g.AddNew(NewSettings("10.0.0.3:80", tcp("10.0.0.3:80")), start)
	if err != nil || s.ID != 2 {
		t.Fatal(s, err)
	}
	if _, err := g.Change(1, Change{Weight: set(3), MaxConns: set(7), Route: set("two")}, start); err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(g.Servers())
	want := `[{"id":1,"server":"10.0.0.2:80","weight":3,"max_conns":7,"max_fails":1,"fail_timeout":"10s","slow_start":"0s","route":"two",` +
		`"backup":false,"down":false},` +
		`{"id":2,"server":"10.0.0.3:80","weight":1,"max_conns":0,"max_fails":1,"fail_timeout":"10s","slow_start":"0s","route":"",` +
		`"backup":false,"down":false}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := []string{pick(t, g, start), pick(t, g, start), pick(t, g, start), pick(t, g, start)}; strings.Count(strings.Join(got, " "), "10.0.0.2") != 3 {
		t.Errorf("picks %v", got)
	}
	if _, err := g.Change(2, Change{Down: set(true)}, start); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Change(1, Change{Drain: set(true)}, start.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := pick(t, g, start); got != "no live upstreams" {
		t.Errorf("with one down and one draining: %s", got)
	}
	report := g.Report(start.Add(3 * time.Second))
	if p := report.Peers; p[0].State != StateDraining || p[0].Downtime != 2000 || p[1].State != StateDown || p[1].Downtime != 3000 {
		t.Errorf("%+v", p)
	}
	if c, ok := g.Server(1); !ok || !c.Drain {
		t.Errorf("%+v %v", c, ok)
	}
	if _, err := g.Change(1, Change{Down: set(false)}, start.Add(4*time.Second)); err != nil {
		t.Fatal(err)
	}
	if c, _ := g.Server(1); c.Drain || c.Down {
		t.Errorf("down=false did not end the draining: %+v", c)
	}
}

func TestEditErrors(t *testing.T) {
	g := groupOf(t, "10.0.0.1:80")
	name := func(change func(*Settings)) Settings {
		s := NewSettings("10.0.0.9:80", tcp("10.0.0.9:80"))
		change(&s)
		return s
	}
	add := func(change func(*Settings)) func() error {
		return func() error { _, err := g.AddNew(name(change), start); return err }
	}
	change := func(id int, c Change) func() error {
		return func() error { _, err := g.Change(id, c, start); return err }
	}
	for _, c := range []struct {
		code string
		do   func() error
	}{
		{ServerNotFound, change(7, Change{})},
		{ServerNotFound, func() error { return g.Remove(7, start) }},
		{EntryExists, add(func(s *Settings) { s.Name = "10.0.0.1:80" })},
		{BadWeight, add(func(s *Settings) { s.Weight = 0 })},
		{BadWeight, change(0, Change{Weight: set(0)})},
		{BadMaxConns, add(func(s *Settings) { s.MaxConns = -1 })},
		{BadMaxFails, change(0, Change{MaxFails: set(-1)})},
		{BadFailTimeout, change(0, Change{FailTimeout: set(-time.Second)})},
		{BadSlowStart, change(0, Change{SlowStart: set(-time.Second)})},
		{BadRoute, change(0, Change{Route: set(strings.Repeat("r", 33))})},
	} {
		before, _ := json.Marshal(g.Servers())
		err := c.do()
		var edit *EditError
		if !errors.As(err, &edit) || edit.Code != c.code || edit.Text == "" {
			t.Errorf("want %s, got %v", c.code, err)
		}
		if after, _ := json.Marshal(g.Servers()); string(after) != string(before) {
			t.Errorf("%s changed something: %s", c.code, after)
		}
	}
}

func TestRemovedServerFinishesItsRequests(t *testing.T) {
	g := groupOf(t, "10.0.0.1:80", "10.0.0.2:80")
	var a Attempt
	g.Begin(&a)
	s, err := a.Pick(start)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Remove(s.ID, start); err != nil {
		t.Fatal(err)
	}
	if r := g.Report(start); r.Zombies != 1 || len(r.Peers) != 1 {
		t.Errorf("%+v", r)
	}
	a.Free(Failure, start)
	if r := g.Report(start); r.Zombies != 0 {
		t.Errorf("after the request: %+v", r)
	}
	// The attempt goes on with what is there now.
	if next, err := a.Pick(start); err != nil || next == s {
		t.Error(next, err)
	}
}

func TestSessionIDs(t *testing.T) {
	for _, c := range []struct {
		route string
		addr  Address
		want  string
	}{
		{"", tcp("127.0.0.1:27081"), "1a902fbe"},
		{"a", tcp("127.0.0.1:27081"), "a"},
		{"", Unix("/run/app.sock"), sessionIDOf("", "unix:/run/app.sock")},
	} {
		settings := NewSettings("x", c.addr)
		settings.Route = c.route
		g := NewGroup("u", turns{})
		s, err := g.Add(settings, start)
		if err != nil || !strings.HasPrefix(s.SessionID(), c.want) || c.route == "" && len(s.SessionID()) != 32 {
			t.Errorf("%+v: %s %v", c, s.SessionID(), err)
		}
	}
}

func TestManyServersAreRemembered(t *testing.T) {
	g := NewGroup("u", turns{})
	const n = 300 // more than an attempt keeps without allocating
	for i := range n {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)
		if _, err := g.Add(NewSettings(addr.String(), TCP(addr)), start); err != nil {
			t.Fatal(err)
		}
	}
	var a Attempt
	for range 2 {
		g.Begin(&a)
		seen := map[int]bool{}
		for range n {
			s, err := a.Pick(start)
			if err != nil || seen[s.ID] {
				t.Fatal(len(seen), err)
			}
			seen[s.ID] = true
			a.Free(Passed, start)
		}
		if _, err := a.Pick(start); !errors.Is(err, ErrNoLive) {
			t.Error(err)
		}
	}
}

func TestSlowStart(t *testing.T) {
	g := groupOf(t, "10.0.0.1:80", "10.0.0.2:80")
	if _, err := g.Change(1, Change{SlowStart: set(10 * time.Second), Down: set(true)}, start); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Change(1, Change{Down: set(false)}, start); err != nil {
		t.Fatal(err)
	}
	// In each second of the ramp 1,000 requests: the share grows from nothing to a half.
	last := -1
	for second := range 12 {
		got := 0
		for i := range 1000 {
			if pick(t, g, start.Add(time.Duration(second)*time.Second+time.Duration(i)*time.Millisecond)) == "10.0.0.2:80" {
				got++
			}
		}
		if second == 0 && got > 60 || second >= 10 && got != 500 || second < 10 && got <= last {
			t.Errorf("second %d: %d of 1000 (before %d)", second, got, last)
		}
		last = got
	}
}

func TestStats(t *testing.T) {
	g := groupOf(t, "10.0.0.1:80")
	var a Attempt
	g.Begin(&a)
	s, err := a.Pick(start)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{200, 200, 404, 101, 999, 0} {
		s.Stats.CountResponse(new(stripes.Pick), code)
	}
	s.Stats.Moved(new(stripes.Pick), 4, 15)
	s.Stats.Moved(new(stripes.Pick), 6, 5)
	s.Stats.Measure(Times{-1, 2 * time.Millisecond, 4 * time.Millisecond})
	r := g.Report(start).Peers[0]
	got, _ := json.Marshal(r)
	want := `{"id":0,"server":"10.0.0.1:80","name":"10.0.0.1:80","backup":false,"weight":1,"state":"up","active":1,` +
		`"ssl":{"handshakes":0,"handshakes_failed":0,"session_reuses":0,"no_common_protocol":0,"handshake_timeout":0,"peer_rejected_cert":0,` +
		`"verify_failures":{"expired_cert":0,"revoked_cert":0,"hostname_mismatch":0,"other":0}},"requests":1,` +
		`"responses":{"1xx":1,"2xx":2,"3xx":0,"4xx":1,"5xx":0,"codes":{"101":1,"200":2,"404":1},"total":4},"sent":10,"received":20,"fails":0,` +
		`"unavail":0,"health_checks":{"checks":0,"fails":0,"unhealthy":0},"downtime":0,"selected":"2023-11-14T22:13:20.000Z",` +
		`"header_time":2,"response_time":4}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	g.ResetStats()
	if r := g.Report(start).Peers[0]; r.Requests != 0 || r.Responses.Total != 0 || r.Active != 1 {
		t.Errorf("after reset %+v", r)
	}
}

// TestEditsDuringRequests has everything going on at once; the race detector and the counters judge.
func TestEditsDuringRequests(t *testing.T) {
	g := groupOf(t, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			var a Attempt
			var by stripes.Pick
			for i := range 500 {
				g.Begin(&a)
				for range 2 {
					s, err := a.Pick(start)
					if err != nil {
						break
					}
					s.Stats.CountResponse(&by, 200)
					_ = s.SessionID()
					a.Free(Outcome((i+worker)%3), start)
				}
			}
		})
	}
	all.Go(func() {
		for i := range 200 {
			addr := fmt.Sprintf("10.0.1.%d:80", i)
			s, err := g.AddNew(NewSettings(addr, tcp(addr)), start)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := g.Change(s.ID, Change{Weight: set(1 + i%3), Route: set("r"), Down: set(i%2 == 0)}, start); err != nil {
				t.Error(err)
			}
			_ = g.Report(start)
			if err := g.Remove(s.ID, start); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	r := g.Report(start)
	if len(r.Peers) != 3 || r.Zombies != 0 {
		t.Errorf("%d servers, %d zombies", len(r.Peers), r.Zombies)
	}
	for _, p := range r.Peers {
		if p.Active != 0 || p.Requests != p.Responses.Total {
			t.Errorf("%+v", p)
		}
	}
}

// TestRoutesAreSafeInACookie: whoever may add a server must not set other cookies, or attributes of the cookie.
func TestRoutesAreSafeInACookie(t *testing.T) {
	for c := range 256 {
		route := "a" + string([]byte{byte(c)}) + "b"
		cookie := http.Cookie{Name: "n", Value: route}
		want := c != ' ' && c != ',' && cookie.Valid() == nil // what RFC 6265 allows without quotes
		if got := ValidRoute(route); got != want {
			t.Errorf("%q: %v, want %v", route, got, want)
		}
	}
	if !ValidRoute("") || !ValidRoute("backend-1.example:8080/x=y") {
		t.Error("an ordinary route is refused")
	}
}
