package balance

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"starling/lib/clock"
	"starling/upstream"
)

// start is some time on both clocks.
var start = clock.Reading{WallMS: 1_700_000_000_000, MonoMS: 1 << 32}

// server describes one server of a test group by its letter: "b" is b:80, with an IP address of its own.
type server struct {
	letter string
	with   func(*upstream.Settings)
}

func plain(letters string) (out []server) {
	for _, l := range letters {
		out = append(out, server{letter: string(l)})
	}
	return out
}

func weighted(letter string, weight int) server {
	return server{letter, func(s *upstream.Settings) { s.Weight = weight }}
}

func newGroup(t testing.TB, method string, servers []server) *upstream.Group {
	t.Helper()
	g := upstream.NewGroup("u", balancer(t, method))
	for _, s := range servers {
		settings := upstream.NewSettings(s.letter+":80", upstream.TCP(netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:80", s.letter[0]))))
		if s.with != nil {
			s.with(&settings)
		}
		if _, err := g.Add(settings, start); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// balancer makes the balancer of a line such as "hash $x consistent".
func balancer(t testing.TB, line string) upstream.Balancer {
	words := strings.Fields(line)
	if len(words) == 0 {
		return RoundRobin{}
	}
	for _, m := range Methods() {
		if m.Name == words[0] {
			b, err := m.New(words[1:])
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
	t.Fatalf("no method %q", words[0])
	return nil
}

// request is one request's whole way: letters of the servers it was given, each failing but the last, or "-" for none.
type request struct {
	key, client, wanted string
	failing             string // letters of the servers that fail
	outcome             upstream.Outcome
	now                 clock.Reading
}

func (r request) run(g *upstream.Group) string {
	var a upstream.Attempt
	a.Key = []byte(r.key)
	if r.client != "" {
		a.Client = netip.MustParseAddr(r.client)
	}
	if r.now == (clock.Reading{}) {
		r.now = start
	}
	g.Begin(&a)
	a.Want([]byte(r.wanted))
	way := ""
	for {
		s, err := a.Pick(r.now)
		if errors.Is(err, upstream.ErrNoLive) {
			return way + "-"
		}
		way += s.Name[:1]
		if !strings.Contains(r.failing, s.Name[:1]) {
			a.Free(upstream.Success, r.now)
			return way
		}
		outcome := upstream.Failure
		if r.outcome != upstream.Success {
			outcome = r.outcome
		}
		a.Free(outcome, r.now)
		if a.TriesLeft() == 0 {
			return way + "!"
		}
	}
}

func runMany(g *upstream.Group, n int, r request) string {
	var out strings.Builder
	for range n {
		out.WriteString(r.run(g))
		if r.failing != "" {
			out.WriteByte(' ')
		}
	}
	return strings.TrimSpace(out.String())
}

func TestRoundRobinSequences(t *testing.T) {
	for _, c := range []struct {
		name    string
		servers []server
		want    string
	}{
		{"equal", plain("abc"), "abcabc"},
		{"5:1:1", []server{weighted("a", 5), weighted("b", 1), weighted("c", 1)}, "aabacaaaabacaa"},
		{"3:2", []server{weighted("a", 3), weighted("b", 2)}, "ababaababa"},
		{"2:1", []server{weighted("a", 2), weighted("b", 1)}, "abaabaaba"},
		{"down left out", []server{{"a", func(s *upstream.Settings) { s.Down = true }}, {"b", nil}, {"c", nil}}, "bcbc"},
		{"drain left out", []server{{"a", func(s *upstream.Settings) { s.Drain = true }}, {"b", nil}, {"c", nil}}, "bcbc"},
		{"backup unused", []server{{"a", nil}, {"b", func(s *upstream.Settings) { s.Backup = true }}}, "aaaa"},
	} {
		if got := runMany(newGroup(t, "", c.servers), len(c.want), request{}); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestFailures(t *testing.T) {
	noFails := func(s *upstream.Settings) { s.MaxFails = 0 }
	three := func(s *upstream.Settings) { s.MaxFails = 3 }
	for _, c := range []struct {
		name    string
		servers []server
		request request
		want    string
	}{
		{"a failed server is left out for fail_timeout", plain("ab"), request{failing: "a"}, "ab b b b"},
		{"max_fails=0 never", []server{{"a", noFails}, {"b", nil}}, request{failing: "a"}, "ab b ab b"},
		{"max_fails=3", []server{{"a", three}, {"b", three}}, request{failing: "a"}, "ab b ab b ab b b b"},
		{"all fail", plain("ab"), request{failing: "ab"}, "ab! - -"},
		{"one server is never left out", plain("a"), request{failing: "a"}, "a! a! a!"},
		{"backup after the primaries", []server{{"a", nil}, {"b", nil}, {"z", func(s *upstream.Settings) { s.Backup = true }}},
			request{failing: "ab"}, "abz z z"},
		{"one primary with a backup is left out", []server{{"a", nil}, {"z", func(s *upstream.Settings) { s.Backup = true }}},
			request{failing: "a"}, "az z z"},
		{"404 passed on does not count", plain("ab"), request{failing: "a", outcome: upstream.Passed}, "ab b ab b"},
	} {
		n := strings.Count(c.want, " ") + 1
		if got := runMany(newGroup(t, "", c.servers), n, c.request); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestFailTimeout(t *testing.T) {
	g := newGroup(t, "", plain("ab"))
	at := func(d time.Duration) request { return request{failing: "a", now: start.Add(d)} }
	alive := func(d time.Duration) request { return request{now: start.Add(d)} }
	for i, c := range []struct {
		r    request
		want string
	}{
		{at(0), "ab"},
		{at(10 * time.Second), "b"},
		// Usable again, but a failed server comes back with an effective weight of 0 and has to gain first.
		{at(10*time.Second + time.Millisecond), "b"},
		{at(10*time.Second + time.Millisecond), "b"},
		{at(10*time.Second + time.Millisecond), "ab"}, // the probe fails: out for another 10 s
		{alive(20 * time.Second), "b"},
		{alive(21 * time.Second), "b"},
		{alive(21 * time.Second), "b"},
		{alive(21 * time.Second), "a"}, // the probe succeeds: in again
		{alive(21 * time.Second), "b"},
		{alive(21 * time.Second), "a"},
	} {
		if got := c.r.run(g); got != c.want {
			t.Errorf("step %d: %s, want %s", i, got, c.want)
		}
	}
	if s := g.Report(start.Add(22 * time.Second)).Peers[0]; s.Fails != 2 || s.Unavail != 1 || s.Downtime != 21000 || s.State != "up" {
		t.Errorf("%+v", s)
	}
}

// TestOneProbeAtATime: once fail_timeout is over one request tries the server, the others wait for how it ends.
func TestOneProbeAtATime(t *testing.T) {
	g := newGroup(t, "", plain("ab"))
	request{failing: "a"}.run(g)
	later := start.Add(11 * time.Second)
	if got := runMany(g, 2, request{now: later}); got != "bb" {
		t.Fatal(got)
	}
	var probe upstream.Attempt
	g.Begin(&probe)
	if s, err := probe.Pick(later); err != nil || s.Name != "a:80" {
		t.Fatal(s.Name, err)
	}
	if got := runMany(g, 4, request{now: later}); got != "bbbb" {
		t.Errorf("while the probe is out: %s", got)
	}
	probe.Free(upstream.Success, later)
	if got := runMany(g, 4, request{now: later}); !strings.Contains(got, "a") {
		t.Errorf("after the probe: %s", got)
	}
}

func TestMaxConns(t *testing.T) {
	one := func(s *upstream.Settings) { s.MaxConns = 1 }
	for _, method := range []string{"", "least_conn", "random", "hash k", "ip_hash", "hash k consistent", "random two"} {
		g := newGroup(t, method, []server{{"a", one}, {"b", one}})
		attempts := make([]upstream.Attempt, 3)
		names := map[string]bool{}
		for i := range attempts {
			attempts[i].Key = []byte("k")
			g.Begin(&attempts[i])
			s, err := attempts[i].Pick(start)
			if (err != nil) != (i == 2) {
				t.Fatalf("%s: pick %d: %v", method, i, err)
			}
			if err == nil {
				names[s.Name] = true
			}
		}
		if len(names) != 2 {
			t.Errorf("%s: %v", method, names)
		}
		attempts[0].Free(upstream.Success, start)
		if _, err := attempts[2].Pick(start); err != nil {
			t.Errorf("%s: after a free: %v", method, err)
		}
	}
}

func TestLeastConn(t *testing.T) {
	g := newGroup(t, "least_conn", []server{weighted("a", 1), weighted("b", 2), weighted("c", 1)})
	var open []*upstream.Attempt
	got := ""
	for range 8 {
		a := new(upstream.Attempt)
		g.Begin(a)
		s, err := a.Pick(start)
		if err != nil {
			t.Fatal(err)
		}
		got += s.Name[:1]
		open = append(open, a)
	}
	// By nginx's rule: equals (conns/weight) take turns by weight, b has twice the share.
	if got != "bacbcabb" {
		t.Errorf("got %s", got)
	}
	open[1].Free(upstream.Success, start) // a has one less than its share
	if got := (request{}).run(g); got != "a" {
		t.Errorf("after a free: %s", got)
	}
}

func TestNoLive(t *testing.T) {
	down := func(s *upstream.Settings) { s.Down = true }
	for _, method := range []string{"", "least_conn", "random", "random two", "hash k", "hash k consistent", "ip_hash"} {
		for _, servers := range [][]server{nil, {{"a", down}}, {{"a", down}, {"b", down}}} {
			if got := (request{key: "k"}).run(newGroup(t, method, servers)); got != "-" {
				t.Errorf("%q of %d servers down: %s", method, len(servers), got)
			}
		}
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	for _, method := range []string{"", "least_conn", "random", "random two", "hash k", "hash k consistent", "ip_hash"} {
		g := newGroup(t, method, plain("abcdefgh"))
		a := &upstream.Attempt{Key: []byte("/some/uri"), Client: netip.MustParseAddr("192.0.2.7")}
		wanted := []byte("1a902fbe1a902fbe1a902fbe1a902fbe")
		allocs := testing.AllocsPerRun(1000, func() {
			g.Begin(a)
			a.Want(wanted)
			for range 3 {
				if _, err := a.Pick(start); err != nil {
					t.Fatal(err)
				}
				a.Free(upstream.Passed, start)
			}
		})
		if allocs != 0 {
			t.Errorf("%q: %v allocations", method, allocs)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, method := range []string{"", "least_conn", "random two", "hash k consistent"} {
		for _, servers := range []string{"ab", "abcdefghijklmnop"} {
			b.Run(fmt.Sprintf("%s/%d", method, len(servers)), func(b *testing.B) {
				g := newGroup(b, method, plain(servers))
				a := &upstream.Attempt{Key: []byte("/some/uri")}
				for b.Loop() {
					g.Begin(a)
					if _, err := a.Pick(start); err != nil {
						b.Fatal(err)
					}
					a.Free(upstream.Success, start)
				}
			})
		}
	}
}
