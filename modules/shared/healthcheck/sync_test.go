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
func lineOf(words string, like ...*conf.Node) *Line {
	l := &Line{Sync: true, Like: like, Node: &conf.Node{Name: "health_check", Words: strings.Fields(words)}}
	l.Check = health.Check{Interval: 5 * time.Second, Fails: 1, Passes: 1}
	return l
}

// TestNodesTakeTurnsOnlyWithTheSameCheck: what is checked, and when, must be the same.
func TestNodesTakeTurnsOnlyWithTheSameCheck(t *testing.T) {
	match := func(status string) *conf.Node {
		return &conf.Node{Name: "match", Words: []string{"ok"}, Block: []*conf.Node{{Name: "status", Words: []string{status}}}}
	}
	other := func(change func(*Line)) *Line {
		l := lineOf("sync uri=/a match=ok", match("200"))
		change(l)
		return l
	}
	base := identityOf(other(func(*Line) {}), "http", "u", 0)
	for name, l := range map[string]*Line{
		"the order of words": lineOf("match=ok sync uri=/a", match("200")),
		"what is of a node":  lineOf("sync jitter=3s mandatory persistent uri=/a match=ok", match("200")),
		"a default in words": lineOf("sync interval=5s fails=1 uri=/a match=ok", match("200")),
	} {
		if identityOf(l, "http", "u", 0) != base {
			t.Errorf("%s makes another check", name)
		}
	}
	for name, l := range map[string]*Line{
		"another URI":      lineOf("sync uri=/b match=ok", match("200")),
		"another match":    lineOf("sync uri=/a match=ok", match("204")),
		"another interval": other(func(l *Line) { l.Check.Interval = time.Second }),
		"another number":   other(func(l *Line) { l.Check.Fails = 2 }),
		"another port":     other(func(l *Line) { l.Check.Port = 81 }),
	} {
		if identityOf(l, "http", "u", 0) == base {
			t.Errorf("%s makes the same check", name)
		}
	}
	l := other(func(*Line) {})
	if identityOf(l, "stream", "u", 0) == base || identityOf(l, "http", "v", 0) == base || identityOf(l, "http", "u", 1) == base {
		t.Error("the place makes no difference")
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
		if one, err = share(p, lineOf("sync"), "http", g); err == nil {
			two, err = share(p, lineOf("sync"), "http", g)
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
