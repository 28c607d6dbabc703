package balance

import (
	"net/netip"
	"strings"
	"testing"

	"starling/upstream"
)

// The expected letters were observed with nginx 1.22.1 (Debian): server 127.0.0.1:18091 is a, …92 (weight=2) is b, …93
// is c; d is …94 with max_fails=0 where nothing listens.

var keys = strings.Fields("a b c d e f key1 key2 key3 /index.html /a/b x y z 10 11 12 13 14 15")

func nginxGroup(t testing.TB, method, letters string) *upstream.Group {
	g := upstream.NewGroup("u", balancer(t, method))
	for _, l := range letters {
		addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 18091+uint16(l-'a'))
		settings := upstream.NewSettings(addr.String(), upstream.TCP(addr))
		if l == 'b' {
			settings.Weight = 2
		}
		settings.MaxFails = 0
		if _, err := g.Add(settings, start); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// way returns the letters of the servers tried; d always fails.
func way(t testing.TB, g *upstream.Group, key, client string) string {
	a := &upstream.Attempt{Key: []byte(key)}
	if client != "" {
		a.Client = netip.MustParseAddr(client)
	}
	g.Begin(a)
	for tried := ""; ; {
		s, err := a.Pick(start)
		if err != nil {
			t.Fatal(err)
		}
		letter := string(s.Name[len(s.Name)-1] - '1' + 'a')
		tried += letter
		if letter != "d" {
			a.Free(upstream.Success, start)
			return tried
		}
		a.Free(upstream.Failure, start)
	}
}

func TestHashesAsNginx(t *testing.T) {
	for _, c := range []struct{ method, servers, want string }{
		{"hash k", "abc", "c b b b b c a b b b a a c b b b c a a c"},
		{"hash k consistent", "abc", "c b b c b a c c b c b b c b b c c b b b"},
		{"hash k", "abd", "da b b b b da a b b b a a da b b b db a a db"},
		{"hash k consistent", "abd", "db b db b db a b b b db b b b db b db b b b b"},
	} {
		g := nginxGroup(t, c.method, c.servers)
		var got []string
		for _, k := range keys {
			got = append(got, way(t, g, k, ""))
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s of %s:\n got %s\nwant %s", c.method, c.servers, got, c.want)
		}
	}
}

func TestIPHashAsNginx(t *testing.T) {
	clients := strings.Fields("192.0.2.1 192.0.2.99 198.51.100.7 203.0.113.9 10.0.0.1 10.1.0.1 10.2.0.1 10.3.0.1 172.16.5.5 " +
		"2001:db8::1 2001:db8::2 2001:db8::3 fe80::9")
	g := nginxGroup(t, "ip_hash", "abc")
	got := ""
	for _, client := range clients {
		got += way(t, g, "", client)
	}
	if want := "ccaabbcababbc"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEmptyKeyTakesTurns(t *testing.T) {
	for _, method := range []string{"hash k", "hash k consistent"} {
		if got := runMany(newGroup(t, method, plain("abc")), 6, request{}); got != "abcabc" {
			t.Errorf("%s: %s", method, got)
		}
	}
}

func TestConsistentHashMovesFewKeys(t *testing.T) {
	g := newGroup(t, "hash k consistent", plain("abcde"))
	before := map[string]string{}
	key := func(i int) string {
		return strings.Repeat("k", i%7) + string(rune('0'+i%10)) + strings.Repeat("x", i/10)
	}
	for i := range 500 {
		before[key(i)] = request{key: key(i)}.run(g)
	}
	if err := g.Remove(4, start); err != nil {
		t.Fatal(err)
	}
	for k, was := range before {
		if now := (request{key: k}).run(g); now != was && was != "e" {
			t.Errorf("key %s moved from %s to %s although only e went", k, was, now)
		}
	}
}

func TestHashedName(t *testing.T) {
	for _, c := range [][3]string{
		{"10.0.0.1:80", "10.0.0.1", "80"}, {"a.example", "a.example", ""}, {"unix:/run/x:80", "/run/x:80", ""}, {"UNIX:/x", "/x", ""},
		{"[::1]:80", "[::1]", "80"}, {"[::1]", "[::1]", ""}, {"host:name", "host:name", ""}, {"a:", "a", ""},
	} {
		if host, port := hashedName(c[0]); host != c[1] || port != c[2] {
			t.Errorf("%s: %q %q", c[0], host, port)
		}
	}
}

func TestRandom(t *testing.T) {
	g := newGroup(t, "", []server{weighted("a", 1), weighted("b", 2), weighted("c", 1)})
	draws := []int{0, 1, 2, 3}
	b := &randomBalancer{draw: func(n int) int {
		if n != 4 {
			t.Fatalf("drawn of %d", n)
		}
		next := draws[0]
		draws = append(draws[1:], next)
		return next
	}, place: func() uint32 { return 0 }}
	g.SetBalancer(b)
	if got := runMany(g, 8, request{}); got != "abbcabbc" {
		t.Errorf("got %s", got)
	}
	if got := (request{failing: "a"}).run(g); got != "ab" {
		t.Errorf("after a failure %s", got)
	}
}

func TestRandomTwoTakesTheLessLoaded(t *testing.T) {
	for _, first := range []string{"a", "b"} {
		g := newGroup(t, "", plain("ab"))
		open := &upstream.Attempt{}
		g.Begin(open)
		open.Want([]byte(id(t, g, first)))
		if _, err := open.Pick(start); err != nil {
			t.Fatal(err)
		}
		draws := 0
		g.SetBalancer(&randomBalancer{two: true, draw: func(int) int { draws++; return draws % 2 }, place: func() uint32 { return 0 }})
		for range 4 {
			if got := (request{}).run(g); got == first {
				t.Errorf("chose the loaded server %s", got)
			}
		}
	}
}

func TestMethodErrors(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"hash k sometimes", `invalid parameter "sometimes"`},
		{"random three", `invalid parameter "three"`},
		{"random two most_conn", `invalid parameter "most_conn"`},
	} {
		words := strings.Fields(c.line)
		for _, m := range Methods() {
			if m.Name == words[0] {
				if _, err := m.New(words[1:]); err == nil || err.Error() != c.want {
					t.Errorf("%s: %v", c.line, err)
				}
			}
		}
	}
}

// TestTablesAreOfOneSet: SRV priorities may give any method backups; its tables must not mix them with the primaries.
func TestTablesAreOfOneSet(t *testing.T) {
	backup := func(s *upstream.Settings) { s.Backup = true }
	for _, method := range []string{"hash k", "hash k consistent", "random", "random two", "ip_hash"} {
		g := newGroup(t, method, []server{{"a", nil}, {"b", nil}, {"y", backup}, {"z", backup}})
		for range 3 {
			got := request{key: "k", failing: "ab", outcome: upstream.Passed}.run(g)
			if len(got) != 3 || !strings.ContainsAny(got[2:], "yz") {
				t.Errorf("%s: %s", method, got)
			}
		}
	}
}
