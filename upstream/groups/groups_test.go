package groups

import (
	"testing"

	"starling/conf"
	"starling/plan"
	"starling/side/sidetest"
	"starling/upstream"
)

type subject = *sidetest.Subject

func target(t *testing.T, text string) Target {
	t.Helper()
	parsed, err := ParseTarget(text, 80, false)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// declare does what `upstream NAME {}` does.
func declare(p *plan.Plan, name string) error {
	return Declare[subject](nil, &conf.Args{Words: []string{name}, Node: &conf.Node{File: "x.conf", Line: 7}, Env: p})
}

// TestNamesOfGroups: upstream blocks and addresses share one namespace; a block has no port.
func TestNamesOfGroups(t *testing.T) {
	p := plan.New()
	r, now := Of[subject](p), p.Clock.Now()
	if err := declare(p, "App"); err != nil {
		t.Fatal(err)
	}
	block := r.Named("App")
	if g, err := r.Refer(target(t, "app"), nil, now); err != nil || g != block {
		t.Errorf("the block is not found in any case: %v", err)
	}
	if _, err := r.Refer(target(t, "app:80"), nil, now); err == nil || err.Error() != `upstream "app" may not have port 80` {
		t.Error(err)
	}
	if err := declare(p, "app"); err == nil || err.Error() != `duplicate upstream "app"` {
		t.Error(err)
	}
	at := &conf.Node{File: "x.conf", Line: 3}
	first, err := r.Refer(target(t, "127.0.0.1:81"), at, now)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := r.Refer(target(t, "127.0.0.1:81"), nil, now); err != nil || same != first {
		t.Errorf("one host and port are two groups: %v", err)
	}
	if other, err := r.Refer(target(t, "127.0.0.1:82"), nil, now); err != nil || other == first {
		t.Errorf("two ports are one group: %v", err)
	}
	if err := declare(p, "127.0.0.1"); err == nil || err.Error() != `upstream "127.0.0.1" may not have port 81 in x.conf:3` {
		t.Error(err)
	}
	if len(r.All()) != 3 {
		t.Errorf("%d groups", len(r.All()))
	}
}

// TestResolveAtRunTime: the groups of the configuration come first; an address makes a group of its own that nobody
// else finds.
func TestResolveAtRunTime(t *testing.T) {
	p := plan.New()
	r, s := Of[subject](p), sidetest.New(p, nil)
	if err := declare(p, "app"); err != nil {
		t.Fatal(err)
	}
	named, literal := target(t, "APP"), target(t, "127.0.0.1:81")
	if g, err := r.Resolve(s, &named, nil); err != nil || g != r.Named("app") {
		t.Errorf("the block is not found: %v", err)
	}
	g, err := r.Resolve(s, &literal, nil)
	if err != nil {
		t.Fatal(err)
	}
	var a upstream.Attempt
	g.Begin(&a)
	if server, err := a.Pick(p.Clock.Now()); err != nil || server.Addr.Text != "127.0.0.1:81" || r.Find(&literal) != nil {
		t.Errorf("%v; in the list: %v", err, r.Find(&literal) != nil)
	}
	unknown := target(t, "nowhere:81")
	if _, err := r.Resolve(s, &unknown, nil); err == nil || err.Error() != "no resolver defined to resolve nowhere" {
		t.Error(err)
	}
	unknown.Port = 0
	if _, err := r.Resolve(s, &unknown, nil); err == nil || err.Error() != `no port in upstream "nowhere"` {
		t.Error(err)
	}
}
