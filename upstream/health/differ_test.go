package health_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/upstream/health"
	"starling/upstream/health/turns"
)

// sharingOther makes nodes of which the last has another check.
func sharingOther(t *testing.T, count int) *nodes {
	c := &nodes{t: t, cut: -1, sent: make([]uint64, count)}
	for i := range count {
		c.addNode(i)
		check, terms := c.shared(i, health.Check{}), []turns.Term{{Name: "interval", Value: "1s"}, {Name: "uri", Value: "/"}}
		check.Sharing.Roster, check.Sharing.At = turns.ID{7}, "nginx.conf:7"
		if i == count-1 {
			check.Sharing.ID, check.Sharing.At, terms[1].Value = turns.ID{2}, "other.conf:9", "/health"
		}
		check.Sharing.Terms = terms
		c.list = append(c.list, setUp(t, check, []string{one}))
	}
	return c
}

// TestChecksThatDifferAreNamed: the node with another check probes for itself, the others take turns. Log and API of all
// say what differs, and where; the log says it again if it lasts, and nobody says it when it is over.
func TestChecksThatDifferAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sharingOther(t, 3).start()
		c.pass(4 * time.Second)
		counts := c.pass(10 * time.Second)
		if counts[2] != 10 || counts[0]+counts[1] != 10 {
			t.Errorf("in 10 intervals: %v probes", counts)
		}
		const why = "the two do not take turns; configure the same check on both nodes"
		here := "health check of upstream \"u\" in nginx.conf:7 is not that of node node-c (host-c) in other.conf:9: " +
			"uri is / on this node and /health there"
		if got := c.list[0].written(); strings.Count(got, "[notice] "+here+": "+why) != 1 || strings.Contains(got, "warn") {
			t.Errorf("the log has %q", got)
		}
		if got := c.list[2].written(); strings.Count(got, "in other.conf:9 is not that of node") != 2 {
			t.Errorf("the log of the other has %q", got)
		}
		s, err := json.Marshal(c.seen(0))
		if want := `"check":"nginx.conf:7","differs":[{"node":"node-c","host":"host-c","at":"other.conf:9",` +
			`"terms":"uri is / on this node and /health there","remedy":"` + why + `"}]}`; !strings.HasSuffix(string(s), want) {
			t.Errorf("the API shows %s, %v, want %s", s, err, want)
		}
		if s := c.seen(2); len(s.Differs) != 2 || s.Role != "prober" {
			t.Errorf("the API of the other shows %+v", s)
		}
		c.pass(time.Minute + 10*time.Second)
		if got := c.list[0].written(); strings.Count(got, "[warn] "+here+", for 1m0s: "+why) != 1 {
			t.Errorf("after a minute, the log has %q", got)
		}
		c.list[2].cancel()
		c.pass(20 * time.Second)
		if s := c.seen(0); len(s.Differs) != 0 {
			t.Errorf("when it has ended: %+v", s)
		}
		if got := c.list[0].written(); strings.Contains(got, "is not that of") {
			t.Errorf("when it has ended, the log has %q", got)
		}
	})
}

// TestANodeThatChangesItsCheck all the time does not fill the log.
func TestANodeThatChangesItsCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sharingOther(t, 2).start()
		c.pass(2 * time.Second)
		for i := range 60 {
			card := turns.Card{Presence: turns.Presence{Node: "node-b"}, ID: turns.ID{9}, At: strings.Repeat("x", i)}
			if err := c.zones[1].Say(append(append([]byte{7}, make([]byte, 15)...), 0, 0), card.Append(nil, 1024), c.list[1].plan.Clock.Now()); err != nil {
				t.Fatal(err)
			}
			c.pass(500 * time.Millisecond)
		}
		if got := c.list[0].written(); strings.Count(got, "[notice]") != 1 {
			t.Errorf("the log has %q", got)
		}
	})
}

// TestAReloadShowsItsCheck: the other node sees the check of the configuration that runs, also when one has ended that
// could not start.
func TestAReloadShowsItsCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sharingOther(t, 2).start()
		c.pass(3 * time.Second)
		reloaded := func(uri string) *bench {
			check := c.shared(1, health.Check{})
			check.Sharing.Roster, check.Sharing.ID, check.Sharing.At = turns.ID{7}, turns.ID{3}, "next.conf:1"
			check.Sharing.Terms = []turns.Term{{Name: "uri", Value: uri}}
			return setUpAfter(t, c.list[1].group, check, []string{one}).start()
		}
		expect := func(what, at string) {
			t.Helper()
			c.pass(time.Second)
			if s := c.seen(0); len(s.Differs) != 1 || s.Differs[0].At != at {
				t.Errorf("%s: %+v", what, s.Differs)
			}
		}
		failed := reloaded("/failed")
		expect("while it starts", "next.conf:1")
		failed.cancel()
		expect("when it has failed", "other.conf:9")
		next := reloaded("/next")
		c.list[1].cancel()
		expect("after a reload", "next.conf:1")
		next.cancel()
		c.pass(time.Second)
		if s := c.seen(0); len(s.Differs) != 0 {
			t.Errorf("when the check is gone: %+v", s.Differs)
		}
	})
}
