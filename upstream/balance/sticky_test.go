package balance

import (
	"crypto/md5"
	"encoding/hex"
	"testing"
	"time"

	"starling/upstream"
)

// id is the session id of a server of newGroup.
func id(t *testing.T, g *upstream.Group, letter string) string {
	t.Helper()
	for _, s := range g.Servers() {
		if s.Server == letter+":80" {
			if s.Route != "" {
				return s.Route
			}
			sum := md5.Sum([]byte(g.Report(start).Peers[s.ID].Server))
			return hex.EncodeToString(sum[:])
		}
	}
	t.Fatalf("no server %s", letter)
	return ""
}

func TestStickyPicks(t *testing.T) {
	drain := func(s *upstream.Settings) { s.Drain = true }
	down := func(s *upstream.Settings) { s.Down = true }
	for _, method := range []string{"", "least_conn", "random", "random two", "hash k", "hash k consistent", "ip_hash"} {
		g := newGroup(t, method, []server{{"a", nil}, {"b", nil}, {"c", drain}, {"d", down}})
		for _, c := range []struct{ wanted, want string }{
			{id(t, g, "a"), "aaaa"},
			{id(t, g, "b"), "bbbb"},
			{id(t, g, "c"), "cccc"}, // draining: only for its sessions
		} {
			if got := runMany(g, 4, request{key: "k", wanted: c.wanted}); got != c.want {
				t.Errorf("%s: wanted %s, got %s", method, c.wanted, got)
			}
		}
		for _, wanted := range []string{id(t, g, "d"), "nobody", "", string(make([]byte, 1000))} {
			got := (request{key: "k", wanted: wanted}).run(g)
			if got != "a" && got != "b" {
				t.Errorf("%s: wanted %q without a usable server, got %s", method, wanted, got)
			}
		}
	}
}

func TestStickyServerFails(t *testing.T) {
	g := newGroup(t, "", plain("ab"))
	r := request{wanted: id(t, g, "b"), failing: "b"}
	if got := r.run(g); got != "ba" {
		t.Errorf("got %s", got)
	}
	// While it is out its sessions go elsewhere; afterwards they come back.
	r.failing = ""
	r.now = start.Add(10 * time.Second)
	if got := r.run(g); got != "a" {
		t.Errorf("while out: %s", got)
	}
	r.now = start.Add(11 * time.Second)
	if got := r.run(g); got != "b" {
		t.Errorf("after fail_timeout: %s", got)
	}
}

func TestStickyBackupOnlyAfterPrimaries(t *testing.T) {
	g := newGroup(t, "", []server{{"a", nil}, {"b", nil}, {"z", func(s *upstream.Settings) { s.Backup = true; s.Route = "zz" }}})
	if got := (request{wanted: "zz"}).run(g); got == "z" {
		t.Error("a backup was used while primaries live")
	}
	if got := (request{wanted: "zz", failing: "ab"}).run(g); got != "baz" && got != "abz" {
		t.Errorf("got %s", got)
	}
}

// TestStickyPaysOnce: sticky requests take part in the round robin, but only one in a row is paid for, so that
// the others get their turn and the session's server is not starved afterwards.
func TestStickyPaysOnce(t *testing.T) {
	g := newGroup(t, "", plain("abc"))
	r := request{wanted: id(t, g, "a")}
	if got := runMany(g, 5, r); got != "aaaaa" {
		t.Fatal(got)
	}
	if got := runMany(g, 6, request{}); got != "bcabca" {
		t.Errorf("after the session: %s", got)
	}
}

func TestRouteIsShared(t *testing.T) {
	route := func(s *upstream.Settings) { s.Route = "r1" }
	g := newGroup(t, "", []server{{"a", nil}, {"b", route}, {"c", nil}})
	if got := runMany(g, 3, request{wanted: "r1"}); got != "bbb" {
		t.Errorf("got %s", got)
	}
}
