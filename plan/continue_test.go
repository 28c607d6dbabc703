package plan_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"starling/plan"
)

// memory is what a family keeps in a zone here: what was done with it.
type memory struct {
	key, kind string
	did       []string
}

func (m *memory) say(what string) { m.did = append(m.did, what) }

// declare makes a configuration with one zone.
func declare(t *testing.T, old *plan.Plan, use string, bytes int64, now *memory) (*plan.Plan, *plan.Zone) {
	t.Helper()
	p := plan.New()
	p.Old = old
	z, err := p.Zones.Declare("one", use, bytes, "x.conf", 1)
	if err != nil {
		t.Fatal(err)
	}
	z.Value = now
	return p, z
}

// follow makes a configuration with one zone, which follows that of old.
func follow(t *testing.T, old *plan.Plan, use string, bytes int64, now *memory) (p *plan.Plan, continued bool, err error) {
	t.Helper()
	p, z := declare(t, old, use, bytes, now)
	continued, err = plan.Continue(p, z, plan.Continuation[*memory]{
		Refuse: func(old *memory) error {
			if old.key != now.key {
				return errors.New("another key")
			}
			return nil
		},
		Same:   func(old *memory) bool { return old.kind == now.kind },
		Take:   func(old *memory) { now.say("took " + old.kind) },
		Change: func() { now.say("changed") },
		Settle: func() { now.say("settled") },
		Make: func(old *memory) {
			now.say("made")
			if old != nil {
				now.say("after " + old.kind)
			}
		},
	})
	return p, continued, err
}

func TestAZoneGoesOnOverAReload(t *testing.T) {
	const bytes = plan.MinZoneBytes
	for _, c := range []struct {
		name      string
		use       string
		bytes     int64
		old, now  memory
		continued bool
		linked    string // what was done before the new configuration started
		done      string // and when it had, and the old one had retired
		problem   string
	}{
		{"the same", "a", bytes, memory{kind: "sync"}, memory{kind: "sync"}, true, "took sync", "took sync, changed, settled", ""},
		{"another size", "a", 2 * bytes, memory{kind: "sync"}, memory{kind: "sync"}, true, "took sync", "took sync, changed, settled", ""},
		{"another kind", "a", bytes, memory{kind: "sync"}, memory{kind: "local"}, false, "made, after sync", "made, after sync", ""},
		{"refused", "a", bytes, memory{key: "x"}, memory{key: "y"}, false, "", "", "another key"},
		{"another use", "b", bytes, memory{key: "x"}, memory{key: "y"}, false, "made", "made", ""},
	} {
		old, continued, err := follow(t, nil, "a", bytes, &c.old)
		if got := strings.Join(c.old.did, ", "); got != "made" || continued || err != nil {
			t.Fatalf("%s: the first configuration: %s, %v, %v", c.name, got, continued, err)
		}
		p, continued, err := follow(t, old, c.use, c.bytes, &c.now)
		if (err == nil) != (c.problem == "") || err != nil && err.Error() != c.problem || continued != c.continued {
			t.Errorf("%s: %v, %v", c.name, continued, err)
		}
		if got := strings.Join(c.now.did, ", "); got != c.linked {
			t.Errorf("%s: at link time: %s, want %s", c.name, got, c.linked)
		}
		if err := p.Start(context.Background()); err != nil {
			t.Error(err)
		}
		old.Retire()
		if got := strings.Join(c.now.did, ", "); got != c.done {
			t.Errorf("%s: in the end: %s, want %s", c.name, got, c.done)
		}
	}
}

// TestAFailedReloadChangesNoZone: a start step that fails, in whatever order, leaves the zones to the old configuration.
func TestAFailedReloadChangesNoZone(t *testing.T) {
	old, _, _ := follow(t, nil, "a", plan.MinZoneBytes, &memory{})
	now := new(memory)
	p, _, err := follow(t, old, "a", 2*plan.MinZoneBytes, now)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no such address")
	p.OnStart(func(context.Context) error { return broken })
	if err := p.Start(context.Background()); !errors.Is(err, broken) {
		t.Error(err)
	}
	if got := strings.Join(now.did, ", "); got != "took " {
		t.Errorf("the zone of the old configuration: %s", got)
	}
}

// TestAZoneReturnsWhileOldRequestsUseIt: a configuration without the zone comes between; there is still one memory of
// the name. Once nothing uses it any more, it is gone.
func TestAZoneReturnsWhileOldRequestsUseIt(t *testing.T) {
	for _, ended := range []bool{false, true} {
		first, _, _ := follow(t, nil, "a", plan.MinZoneBytes, &memory{kind: "k"})
		if err := first.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		between := plan.New()
		between.Old = first
		if err := between.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		between.Old = nil // as when it runs
		if ended {
			first.Retire()
		}
		now := &memory{kind: "k"}
		last, continued, err := follow(t, between, "a", plan.MinZoneBytes, now)
		if continued == ended || err != nil {
			t.Errorf("the old requests have ended: %v; continued: %v, %v", ended, continued, err)
		}
		if err := last.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// A family that says nothing but how to take and make always takes.
func TestAZoneIsTakenWhereTheFamilyAsksNothing(t *testing.T) {
	first, _, _ := follow(t, nil, "a", plan.MinZoneBytes, &memory{key: "first"})
	p := plan.New()
	p.Old = first
	z, err := p.Zones.Declare("one", "a", plan.MinZoneBytes, "x.conf", 1)
	if err != nil {
		t.Fatal(err)
	}
	taken := ""
	rules := plan.Continuation[*memory]{Take: func(old *memory) { taken = old.key }, Make: func(*memory) { t.Error("made anew") }}
	if continued, err := plan.Continue(p, z, rules); !continued || err != nil || taken != "first" {
		t.Errorf("took %q: %v, %v", taken, continued, err)
	}
}
