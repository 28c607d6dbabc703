package health_test

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/resolver"
	"starling/lib/testkit"
	"starling/upstream"
	"starling/upstream/health"
)

// TestThresholds: so many checks in a row change the state, and what the log says is that of NGINX Plus.
func TestThresholds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(t, health.Check{Fails: 3, Passes: 2, Port: 8080}, []string{one}).start()
		what := "192.0.2.1:8080"
		testkit.Pass(time.Second) // the second check comes some time in the first interval
		b.expect("up")
		b.fail(what, true)
		testkit.Pass(2 * time.Second)
		b.expect("up")
		b.fail(what, false)
		testkit.Pass(time.Second)
		b.fail(what, true)
		testkit.Pass(2 * time.Second)
		b.expect("up")
		testkit.Pass(time.Second)
		b.expect("unhealthy")
		b.fail(what, false)
		testkit.Pass(time.Second)
		b.expect("unhealthy")
		b.fail(what, true)
		testkit.Pass(time.Second)
		b.fail(what, false)
		testkit.Pass(time.Second)
		b.expect("unhealthy")
		testkit.Pass(time.Second)
		b.expect("up")
		want := []string{
			`[warn] peer is unhealthy while testing, health check "" of peer 192.0.2.1:80 in upstream "u", port 8080: it was told to`,
			`[notice] peer is healthy while testing, health check "" of peer 192.0.2.1:80 in upstream "u", port 8080`,
		}
		if !slices.Equal(b.lines, want) {
			t.Errorf("got %q", b.lines)
		}
		checks, passed := b.peers()[0].Checks, true
		if checks.Checks != uint64(b.probed()) || checks.Fails != 6 || checks.Unhealthy != 1 || *checks.LastPassed != passed {
			t.Errorf("%d probes: %+v", b.probed(), checks)
		}
		b.group.ResetStats()
		if checks := b.peers()[0].Checks; checks != (upstream.Checks{}) {
			t.Errorf("after a reset: %+v", checks)
		}
	})
}

// TestUnhealthyServersGetNoRequests, whether there is another or not; one that recovers starts slowly.
func TestUnhealthyServersGetNoRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(t, health.Check{}, []string{one, two})
		b.fail(one, true)
		b.start()
		if got := b.picked(10); got[two] != 10 {
			t.Errorf("got %v", got)
		}
		b.fail(two, true)
		testkit.Pass(2 * time.Second)
		b.expect("unhealthy unhealthy")
		if got := b.picked(10); got[""] != 10 {
			t.Errorf("got %v", got)
		}
		b.fail(two, false)
		testkit.Pass(time.Second)
		testkit.Pass(10 * time.Second) // its slow start is over
		b.fail(one, false)
		testkit.Pass(time.Second)
		b.expect("up up")
		if got := b.picked(20); got[one] > 5 {
			t.Errorf("it did not start slowly: %v", got)
		}
		down := b.peers()[0]
		if down.Downtime < 12000 || down.DownStart != "" || down.Unavail != 0 {
			t.Errorf("got %+v", down)
		}
	})
}

// TestSessionsLeaveUnhealthyServers: a sticky session is not sent to its server while that is unhealthy, even if it is
// draining.
func TestSessionsLeaveUnhealthyServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(t, health.Check{}, []string{one, two})
		b.fail(one, true)
		b.start()
		stick := func() string {
			var a upstream.Attempt
			b.group.Begin(&a)
			a.Want([]byte(upstreamID(t, b)))
			s, err := a.Pick(b.plan.Clock.Now())
			if err != nil {
				return err.Error()
			}
			a.Free(upstream.Success, b.plan.Clock.Now())
			return s.Addr.Text
		}
		if got := stick(); got != two {
			t.Errorf("got %s", got)
		}
		drain := true
		if _, err := b.group.Change(0, upstream.Change{Drain: &drain}, b.plan.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		b.expect("unhealthy up")
		if got := stick(); got != two {
			t.Errorf("got %s", got)
		}
		b.fail(one, false)
		testkit.Pass(2 * time.Second)
		b.expect("draining up")
		if got := stick(); got != one {
			t.Errorf("a draining server keeps its sessions: %s", got)
		}
	})
}

// upstreamID is the id of the first server in sticky sessions.
func upstreamID(t *testing.T, b *bench) string {
	t.Helper()
	s, err := b.group.Change(0, upstream.Change{}, b.plan.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s.SessionID()
}

// TestMandatory: a server gets no requests before it has passed, those added later neither.
func TestMandatory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(t, health.Check{Mandatory: true, Passes: 2, Fails: 2}, []string{one})
		b.fail(two, true)
		b.start()
		b.expect("checking")
		if got := b.picked(1); got[""] != 1 {
			t.Errorf("got %v", got)
		}
		testkit.Pass(time.Second)
		b.expect("up")
		b.add(two)
		synctest.Wait()
		b.expect("up checking")
		testkit.Pass(time.Second)
		b.expect("up unhealthy")
		b.fail(two, false)
		testkit.Pass(2 * time.Second)
		b.expect("up up")
	})
}

// TestOneOfSeveralChecks: a server must pass all.
func TestOneOfSeveralChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(t, health.Check{}, []string{one, two}, "-a", "-b")
		b.fail(one+"-a", true)
		b.start()
		b.expect("unhealthy up")
		b.fail(one+"-b", true)
		testkit.Pass(2 * time.Second)
		b.fail(one+"-a", false)
		testkit.Pass(time.Second)
		b.expect("unhealthy up")
		b.fail(one+"-b", false)
		testkit.Pass(time.Second)
		b.expect("up up")
		if n := b.peers()[0].Checks.Unhealthy; n != 1 {
			t.Errorf("it became unhealthy %d times", n)
		}
	})
}

// TestServersOfTheAPI: an added server is checked at once, a removed or a down one is not.
func TestServersOfTheAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(t, health.Check{Mandatory: true}, []string{one}).start()
		b.add(two)
		synctest.Wait()
		b.expect("up up")
		if err := b.group.Remove(0, b.plan.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		testkit.Pass(2 * time.Second)
		if !slices.Contains(b.forgotten, one) {
			t.Errorf("forgotten: %v", b.forgotten)
		}
		down, up := true, false
		change := func(down *bool) {
			if _, err := b.group.Change(1, upstream.Change{Down: down}, b.plan.Clock.Now()); err != nil {
				t.Fatal(err)
			}
		}
		change(&down)
		before := b.probed()
		testkit.Pass(5 * time.Second)
		if n := b.probed() - before; n != 0 {
			t.Errorf("%d probes of a server that is down", n)
		}
		b.expect("down")
		b.fail(two, true)
		change(&up)
		if got := b.states(); got != "checking" {
			t.Errorf("what was known before is out of date: %s", got)
		}
		synctest.Wait()
		b.expect("unhealthy")
		testkit.Pass(5 * time.Second)
		if n := b.probed() - before; n < 5 || n > 7 {
			t.Errorf("%d probes in 5 seconds", n)
		}
	})
}

// names answers with addresses that a test changes.
type names struct {
	mu    sync.Mutex
	addrs []netip.Addr
}

func (n *names) Lookup(context.Context, string) ([]netip.Addr, time.Duration, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addrs, time.Second, nil
}

func (n *names) LookupSRV(context.Context, string, string) ([]resolver.SRV, time.Duration, error) {
	return nil, 0, nil
}

// TestServersOfDNS: those that a name gets are checked, those that it loses are forgotten.
func TestServersOfDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(t, health.Check{Mandatory: true}, nil)
		settings := upstream.NewSettings("app.example:80", upstream.Address{})
		settings.Host, settings.Port = "app.example", 80
		if _, err := b.group.Add(settings, b.plan.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		b.fail(two, true)
		b.start()
		n := &names{addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go b.group.Resolve(ctx, n, b.plan.Clock, b)
		synctest.Wait()
		b.expect("up unhealthy")
		n.mu.Lock()
		n.addrs = n.addrs[:1]
		n.mu.Unlock()
		testkit.Pass(4 * time.Second)
		b.expect("up")
		if !slices.Contains(b.forgotten, two) {
			t.Errorf("forgotten: %v", b.forgotten)
		}
		down, up := true, false
		for _, change := range []*bool{&down, &up} { // of the name, and so of all its servers
			if _, err := b.group.Change(0, upstream.Change{Down: change}, b.plan.Clock.Now()); err != nil {
				t.Fatal(err)
			}
		}
		b.expect("checking")
		synctest.Wait()
		b.expect("up")
		for _, p := range b.taken() {
			if p.what != one && p.what != two {
				t.Errorf("checked %q, which is no server", p.what)
			}
		}
		stop()
		b.cancel()
		synctest.Wait()
	})
}

// TestReload: what the next configuration knows of servers, by what this one knew.
func TestReload(t *testing.T) {
	for _, c := range []struct {
		name string
		next health.Check
		want string
	}{
		{"without mandatory an unhealthy server stays so", health.Check{}, "up unhealthy up"},
		{"with it all must pass again", health.Check{Mandatory: true}, "checking checking checking"},
		{"unless they did and it is persistent", health.Check{Mandatory: true, Persistent: true}, "up unhealthy checking"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				old := setUp(t, health.Check{}, []string{one, two})
				old.fail(two, true)
				old.start()
				old.expect("up unhealthy")
				b := setUpAfter(t, old.group, c.next, []string{one, two, "192.0.2.3:80"})
				b.hang = true
				b.start()
				b.expect(c.want)
				old.cancel()
				testkit.Pass(time.Second)
				b.expect(c.want) // its first probes hang
				if err := b.group.Remove(0, b.plan.Clock.Now()); err != nil {
					t.Fatal(err)
				}
				b.add(one)
				if want := map[bool]string{true: "checking", false: "up"}[c.next.Mandatory]; b.peers()[2].State != want {
					t.Errorf("a server of the same name that is added later is new: %s", b.states())
				}
				b.cancel()
				synctest.Wait()
			})
		})
	}
}
