package healthcheck

import (
	"context"
	"strings"
	"testing"
	"time"

	"starling/conf"
	"starling/plan"
	"starling/upstream"
	"starling/upstream/balance"
	"starling/upstream/health"
)

// lineOf is a health_check with sync as it was read.
func lineOf(terms ...string) *Line {
	l := &Line{Sync: true, Node: &conf.Node{Name: "health_check", File: "nginx.conf", Line: 7}}
	l.Check = health.Check{Interval: 5 * time.Second, Fails: 1, Passes: 1}
	for _, t := range terms {
		name, value, _ := strings.Cut(t, "=")
		l.Must(name, value)
	}
	return l
}

// TestNodesTakeTurnsOnlyWithTheSameCheck: all terms count, in any order, and so does the place.
func TestNodesTakeTurnsOnlyWithTheSameCheck(t *testing.T) {
	base := identityOf(lineOf("interval=5s", "uri=/a"), "http", "u", 0)
	if identityOf(lineOf("uri=/a", "port=", "interval=5s"), "http", "u", 0) != base {
		t.Error("the order makes another check")
	}
	for name, l := range map[string]*Line{
		"another value": lineOf("interval=5s", "uri=/b"),
		"another term":  lineOf("interval=5s", "uri=/a", "port=81"),
		"less":          lineOf("interval=5s"),
	} {
		if identityOf(l, "http", "u", 0) == base {
			t.Errorf("%s makes the same check", name)
		}
	}
	l := lineOf("interval=5s", "uri=/a")
	if identityOf(l, "stream", "u", 0) == base || identityOf(l, "http", "v", 0) == base || identityOf(l, "http", "u", 1) == base {
		t.Error("the place makes no difference")
	}
	if rosterOf("http", "u") == rosterOf("stream", "u") || rosterOf("http", "u") == rosterOf("http", "v") {
		t.Error("two groups are compared")
	}
}

// TestATestIsWrittenOnOneLine, whatever its words are.
func TestATestIsWrittenOnOneLine(t *testing.T) {
	block := []*conf.Node{
		{Name: "status", Words: []string{"200-299"}}, {Name: "body", Words: []string{"~", "a;\n b"}},
	}
	if got, want := textOf(block), `{ status 200-299; body ~ "a;\n b"; }`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestAReloadKeepsWhatWasFound, also with another size; two checks that are written the same are two.
func TestAReloadKeepsWhatWasFound(t *testing.T) {
	g := upstream.NewGroup("u", balance.RoundRobin{})
	g.ZoneName, g.ZoneBytes = "z", plan.MinZoneBytes
	configure := func(old *plan.Plan) (p *plan.Plan, one, two *health.Sharing) {
		p = plan.New()
		p.Old = old
		var err error
		if one, err = share(p, lineOf("uri=/"), "http", g); err == nil {
			two, err = share(p, lineOf("uri=/"), "http", g)
		}
		if err == nil {
			err = p.Start(context.Background())
		}
		if err != nil {
			t.Fatal(err)
		}
		return p, one, two
	}
	p, one, two := configure(nil)
	if one.Place != 0 || two.Place != 1 || one.Roster != two.Roster || one.At != "nginx.conf:7" {
		t.Errorf("%+v and %+v", one, two)
	}
	if one.ID == two.ID || one.Zone != two.Zone || one.Zone.Info().Name != "z health" {
		t.Errorf("%x and %x in zone %q", one.ID, two.ID, one.Zone.Info().Name)
	}
	g.ZoneBytes *= 2
	_, again, _ := configure(p)
	if again.Zone != one.Zone || again.Wakes != one.Wakes || again.ID != one.ID {
		t.Error("a reload begins anew")
	}
	if got := again.Zone.Info().Bytes; got != g.ZoneBytes {
		t.Errorf("it has %d bytes, want %d", got, g.ZoneBytes)
	}
}
