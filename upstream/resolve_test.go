package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/clock"
	"starling/lib/resolver"
	"starling/lib/testkit"
	"starling/logs"
)

// fakeDNS is Names from a map that tests change.
type fakeDNS struct {
	mu    sync.Mutex
	hosts map[string][]string
	srv   map[string][]resolver.SRV
	valid time.Duration
	err   error
	asked int
}

func (f *fakeDNS) set(name string, addrs ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hosts[name] = addrs
}

func (f *fakeDNS) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeDNS) Lookup(_ context.Context, name string) ([]netip.Addr, time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.err != nil {
		return nil, 0, f.err
	}
	if len(f.hosts[name]) == 0 {
		return nil, 0, &resolver.Error{Name: name, Code: resolver.NotFound}
	}
	var addrs []netip.Addr
	for _, a := range f.hosts[name] {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, f.valid, nil
}

func (f *fakeDNS) LookupSRV(_ context.Context, service, name string) ([]resolver.SRV, time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.srv[service+" "+name], f.valid, f.err
}

// lines is a log that tests read.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Logf(level logs.Level, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, level.String()+": "+fmt.Sprintf(format, args...))
}

func (l *lines) Enabled(logs.Level) bool { return true }

func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.Join(l.all, "; ")
	l.all = nil
	return text
}

func template(host string, change func(*Settings)) Settings {
	s := NewSettings(host+":8080", Address{})
	s.Host, s.Port = host, 8080
	if change != nil {
		change(&s)
	}
	return s
}

// shown lists the servers without templates: "id addr weight [backup] of parent".
func shown(g *Group) string {
	var out []string
	for _, c := range g.Servers() {
		if c.Parent == nil {
			continue
		}
		line := fmt.Sprintf("%d %s w%d", c.ID, c.Server, c.Weight)
		if c.Backup {
			line += " backup"
		}
		out = append(out, line)
	}
	return strings.Join(out, ", ")
}

func TestResolveFollowsTheDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := &fakeDNS{hosts: map[string][]string{}, valid: 10 * time.Second}
		names.set("app", "10.0.0.1", "10.0.0.2")
		g := NewGroup("u", turns{})
		c, log := clock.Real(), &lines{}
		if _, err := g.Add(template("app", func(s *Settings) { s.Weight, s.Route = 3, "r" }), c.Now()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); g.Resolve(ctx, names, c, log) }()
		synctest.Wait()
		step := func(after time.Duration, want, logged string) {
			t.Helper()
			testkit.Pass(after)
			if got := shown(g); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if got := log.take(); got != logged {
				t.Errorf("logged %q, want %q", got, logged)
			}
		}
		step(0, "1 10.0.0.1:8080 w3, 2 10.0.0.2:8080 w3", "")
		names.set("app", "10.0.0.2", "10.0.0.3")
		step(9*time.Second, "1 10.0.0.1:8080 w3, 2 10.0.0.2:8080 w3", "")
		step(2*time.Second, "2 10.0.0.2:8080 w3, 3 10.0.0.3:8080 w3", "")
		names.fail(&resolver.Error{Name: "app", Code: resolver.ServerFailure})
		step(10*time.Second, "2 10.0.0.2:8080 w3, 3 10.0.0.3:8080 w3",
			`error: app could not be resolved (2: Server failure) in upstream "u"`)
		names.fail(nil)
		names.set("app")
		step(2*time.Second, "", `error: app could not be resolved (3: Host not found) in upstream "u"`)
		names.set("app", "10.0.0.9")
		step(time.Second, "4 10.0.0.9:8080 w3", `notice: resolved app again in upstream "u"`)
		// A template added at run time is followed too, a removed one no longer.
		names.set("late", "10.0.1.1")
		if _, err := g.AddNew(template("late", nil), c.Now()); err != nil {
			t.Fatal(err)
		}
		step(0, "4 10.0.0.9:8080 w3, 6 10.0.1.1:8080 w1", "")
		if err := g.Remove(4, start); err == nil || err.(*EditError).Code != ServerImmutable {
			t.Errorf("removing a resolved server: %v", err)
		}
		if err := g.Remove(0, start); err != nil {
			t.Fatal(err)
		}
		names.set("late", "10.0.1.1", "10.0.1.2")
		step(20*time.Second, "6 10.0.1.1:8080 w1, 7 10.0.1.2:8080 w1", "")
		if _, err := g.Change(5, Change{MaxConns: set(5)}, c.Now()); err != nil {
			t.Fatal(err)
		}
		for _, s := range g.Servers() {
			if s.MaxConns != 5 {
				t.Errorf("a change of the template did not reach %+v", s)
			}
		}
		stop()
		<-done
	})
}

func TestServicePriorities(t *testing.T) {
	addrs := func(texts ...string) (out []netip.Addr) {
		for _, s := range texts {
			out = append(out, netip.MustParseAddr(s))
		}
		return out
	}
	names := &fakeDNS{srv: map[string][]resolver.SRV{"http example": {
		{Target: "a.example", Port: 81, Priority: 1, Weight: 5, Addrs: addrs("10.0.0.1")},
		{Target: "b.example", Port: 82, Priority: 1, Weight: 0, Addrs: addrs("10.0.0.2", "10.0.0.3")},
		{Target: "z.example", Port: 83, Priority: 9, Weight: 2, Addrs: addrs("10.0.0.4")},
		{Target: "gone.example", Port: 84, Priority: 0, Err: &resolver.Error{Name: "gone.example", Code: resolver.NotFound}},
	}}}
	g := NewGroup("u", turns{})
	s := template("example", func(s *Settings) { s.Service = "http" })
	tpl, err := g.Add(s, start)
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.resolveOnce(t.Context(), tpl, names, clock.Real())
	if err == nil || err.Error() != "gone.example could not be resolved (3: Host not found) while resolving service http of example" {
		t.Error(err)
	}
	want := "1 10.0.0.1:81 w5, 2 10.0.0.2:82 w1, 3 10.0.0.3:82 w1, 4 10.0.0.4:83 w2 backup"
	if got := shown(g); got != want {
		t.Errorf("got %s", got)
	}
	var edit *EditError
	if _, err := g.Change(1, Change{Weight: set(9)}, start); !errors.As(err, &edit) || edit.Code != WeightImmutable {
		t.Error(err)
	}
}

func TestInherit(t *testing.T) {
	names := &fakeDNS{hosts: map[string][]string{"app": {"10.0.0.1", "10.0.0.2"}}}
	old := NewGroup("u", turns{})
	tpl, err := old.Add(template("app", nil), start)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.resolveOnce(t.Context(), tpl, names, clock.Real()); err != nil {
		t.Fatal(err)
	}
	g := NewGroup("u", turns{})
	for _, s := range []Settings{template("other", nil), template("app", func(s *Settings) { s.Weight = 7 })} {
		if _, err := g.Add(s, start); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Inherit(old, start); err != nil {
		t.Fatal(err)
	}
	if got := shown(g); got != "2 10.0.0.1:8080 w7, 3 10.0.0.2:8080 w7" {
		t.Errorf("got %s", got)
	}
	// The first answer changes nothing if it is the same.
	i := slices.IndexFunc(g.templates, func(s *Server) bool { return s.settings.Host == "app" })
	if _, err := g.resolveOnce(t.Context(), g.templates[i], names, clock.Real()); err != nil {
		t.Fatal(err)
	}
	if got := shown(g); got != "2 10.0.0.1:8080 w7, 3 10.0.0.2:8080 w7" {
		t.Errorf("after the answer %s", got)
	}
}

// TestInheritAnotherPort: what the DNS said is about the name, so a line with a new port goes on with it.
func TestInheritAnotherPort(t *testing.T) {
	names := &fakeDNS{hosts: map[string][]string{"app": {"10.0.0.1"}}}
	old, g := NewGroup("u", turns{}), NewGroup("u", turns{})
	for range 2 {
		tpl, err := old.Add(template("app", nil), start)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := old.resolveOnce(t.Context(), tpl, names, clock.Real()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.Add(template("app", func(s *Settings) { s.Port = 9090 }), start); err != nil {
		t.Fatal(err)
	}
	if err := g.Inherit(old, start); err != nil {
		t.Fatal(err)
	}
	if got := shown(g); got != "1 10.0.0.1:9090 w1" {
		t.Errorf("got %s", got)
	}
}
