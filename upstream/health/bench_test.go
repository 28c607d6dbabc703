package health_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/logs"
	"starling/plan"
	"starling/upstream"
	"starling/upstream/balance"
	"starling/upstream/health"
)

// bench is a group of servers with checks under virtual time. Its prober answers at once.
type bench struct {
	t      *testing.T
	plan   *plan.Plan
	group  *upstream.Group
	cancel context.CancelFunc

	mu        sync.Mutex
	fails     map[string]bool // by address and check: a probe fails
	probes    []probe
	forgotten []string
	lines     []string
	hang      bool // probes last until their context ends
	running   int
	most      int
}

type probe struct {
	what string
	at   time.Duration
}

// checker is the prober of one check of a bench.
type checker struct {
	*bench
	name  string
	began time.Time
}

func (c *checker) Probe(ctx context.Context, t *health.Target) (string, error) {
	c.mu.Lock()
	what := t.Addr.Text + c.name
	c.probes = append(c.probes, probe{what, time.Since(c.began)})
	fails, hang := c.fails[what], c.hang
	c.running++
	c.most = max(c.most, c.running)
	c.mu.Unlock()
	if hang {
		<-ctx.Done()
	}
	c.mu.Lock()
	c.running--
	c.mu.Unlock()
	if c.name == "panics" {
		panic("on purpose")
	}
	if fails {
		return "testing", errors.New("it was told to")
	}
	return "testing", nil
}

func (c *checker) Forget(t *health.Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten = append(c.forgotten, t.Addr.Text+c.name)
}

// Logf and Enabled make a bench the error log.
func (b *bench) Logf(level logs.Level, format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, "["+level.String()+"] "+fmt.Sprintf(format, args...))
}

func (b *bench) Enabled(logs.Level) bool { return true }

// setUp makes a bench with servers and one check for each name; every check has the settings of like.
func setUp(t *testing.T, like health.Check, servers []string, checks ...string) *bench {
	return setUpAfter(t, nil, like, servers, checks...)
}

// setUpAfter is setUp for a configuration that follows another; before is the group there.
func setUpAfter(t *testing.T, before *upstream.Group, like health.Check, servers []string, checks ...string) *bench {
	b := &bench{t: t, plan: plan.New(), group: upstream.NewGroup("u", balance.RoundRobin{}), fails: map[string]bool{}}
	b.plan.Log = b
	for _, s := range servers {
		b.add(s)
	}
	if checks == nil {
		checks = []string{""}
	}
	for _, name := range checks {
		c := like
		c.Match, c.Log, c.Prober = name, b, &checker{b, name, time.Now()}
		c.Interval, c.Fails, c.Passes = max(c.Interval, time.Second), max(c.Fails, 1), max(c.Passes, 1)
		health.Of(b.plan).Add(b.group, before, &c)
	}
	return b
}

func (b *bench) start() *bench {
	ctx, cancel := context.WithCancel(b.t.Context())
	b.cancel = cancel
	if err := b.plan.Start(ctx); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
	return b
}

// add adds a server that starts slowly.
func (b *bench) add(address string) {
	settings := upstream.NewSettings(address, upstream.TCP(netip.MustParseAddrPort(address)))
	settings.SlowStart = 10 * time.Second
	if _, err := b.group.Add(settings, b.plan.Clock.Now()); err != nil {
		b.t.Fatal(err)
	}
}

// fail makes the probes of a server fail, or pass again.
func (b *bench) fail(what string, fails bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails[what] = fails
}

// taken are the probes since the last call.
func (b *bench) taken() []probe {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.probes
	b.probes = nil
	return taken
}

// probed is how many probes were made since they were taken. Probes of later moments take the lock, too: without it, the
// race detector does not know that they come after a look.
func (b *bench) probed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.probes)
}

// runs is how many probes are running.
func (b *bench) runs() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running
}

// atMost is how many have run at once.
func (b *bench) atMost() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.most
}

func (b *bench) peers() []upstream.Status { return b.group.Report(b.plan.Clock.Now()).Peers }

// states are those of the servers as the API names them.
func (b *bench) states() string {
	var all []string
	for _, p := range b.peers() {
		all = append(all, p.State)
	}
	return strings.Join(all, " ")
}

func (b *bench) expect(states string) {
	b.t.Helper()
	if got := b.states(); got != states {
		b.t.Errorf("after %d probes: %s, want %s", b.probed(), got, states)
	}
}

// picked are the servers that so many requests get; "" stands for none.
func (b *bench) picked(requests int) map[string]int {
	all := map[string]int{}
	for range requests {
		var a upstream.Attempt
		b.group.Begin(&a)
		s, err := a.Pick(b.plan.Clock.Now())
		if err != nil {
			all[""]++
			continue
		}
		all[s.Addr.Text]++
		a.Free(upstream.Success, b.plan.Clock.Now())
	}
	return all
}

const one, two = "192.0.2.1:80", "192.0.2.2:80"
