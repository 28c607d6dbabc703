package health_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/testkit"
	"starling/upstream/health"
)

// starter is a prober whose checks need no goroutine unless their server is slow.
type starter struct {
	checker
	slow    time.Duration // how long the server takes
	panics  string        // where the prober panics
	refuses bool          // Start needs Probe
	started int
	waits   int
	dropped int
}

// eager is one of its checks.
type eager struct {
	*starter
	what  string
	until time.Time
}

func (s *starter) Start(t *health.Target) health.Started {
	if s.panics == "start" {
		panic("on purpose")
	}
	if s.refuses {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started++
	s.running++
	s.most = max(s.most, s.running)
	return &eager{s, t.Addr.Text, time.Now().Add(s.slow)}
}

func (e *eager) Look() (done bool, step string, err error) {
	if e.panics == "look" {
		panic("on purpose")
	}
	if time.Now().Before(e.until) {
		return false, "", nil
	}
	step, err = e.end()
	return true, step, err
}

func (e *eager) Wait(ctx context.Context) (step string, err error) {
	e.mu.Lock()
	e.waits++
	e.mu.Unlock()
	select {
	case <-time.After(time.Until(e.until)):
	case <-ctx.Done():
	}
	return e.end()
}

func (e *eager) end() (step string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running--
	e.probes = append(e.probes, probe{e.what, time.Since(e.began)})
	if e.fails[e.what] {
		return "looking", errors.New("it was told to")
	}
	return "looking", nil
}

func (e *eager) Drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running--
	e.dropped++
}

// startEager starts a bench of which s makes the checks.
func startEager(t *testing.T, s *starter, servers ...string) *bench {
	b := setUp(t, health.Check{Interval: time.Hour}, servers, "unused")
	s.checker = checker{b, "", time.Now()}
	like := health.Check{Interval: 5 * time.Second, Fails: 1, Passes: 1, Log: b, Prober: s}
	health.Of(b.plan).Add(b.group, nil, &like)
	b.start()
	b.taken() // of the unused check
	return b
}

// TestEagerChecks need no goroutine if the server is quick, and one if it is not.
func TestEagerChecks(t *testing.T) {
	for _, c := range []struct {
		slow  time.Duration
		ends  time.Duration // when a check has ended
		waits int
	}{
		{0, 5 * time.Millisecond, 0},
		{5 * time.Millisecond, 5 * time.Millisecond, 0},
		{6 * time.Millisecond, 15 * time.Millisecond, 0},
		{75 * time.Millisecond, 75 * time.Millisecond, 0},
		{76 * time.Millisecond, 76 * time.Millisecond, 1},
		{time.Minute, time.Minute, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &starter{slow: c.slow}
			b := startEager(t, s, one)
			b.fail(one, true)
			testkit.Pass(c.ends - 1)
			if c.waits == 0 {
				b.expect("up")
			}
			testkit.Pass(1)
			b.expect("unhealthy")
			if s.started != 1 || s.waits != c.waits {
				t.Errorf("%v: %d started, %d waited", c.slow, s.started, s.waits)
			}
			b.fail(one, false)
			testkit.Pass(6*time.Second + c.slow)
			b.expect("up")
			want := `[warn] peer is unhealthy while looking, health check "" of peer 192.0.2.1:80 in upstream "u": it was told to`
			if len(b.lines) != 2 || b.lines[0] != want {
				t.Errorf("%v: got %q", c.slow, b.lines)
			}
		})
	}
}

// TestEagerChecksAreMany: no goroutines, and never too many at once.
func TestEagerChecksAreMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []string
		for i := range 1000 {
			all = append(all, fmt.Sprintf("192.0.2.1:%d", 1000+i))
		}
		before := runtime.NumGoroutine()
		s := &starter{}
		b := startEager(t, s, all...)
		testkit.Pass(time.Second) // all have been checked once
		b.taken()
		parked := runtime.NumGoroutine() - before // of the other check
		testkit.Pass(time.Minute)
		if n := runtime.NumGoroutine() - before; n > parked {
			t.Errorf("%d goroutines, %d before", n, parked)
		}
		if n := len(b.taken()); n < 11*len(all) || n > 13*len(all) || b.atMost() > 512 {
			t.Errorf("%d checks in a minute, %d at once", n, b.atMost())
		}
	})
}

// TestEagerChecksEnd with the configuration, whoever has them.
func TestEagerChecksEnd(t *testing.T) {
	for _, c := range []struct {
		after   time.Duration
		dropped int
	}{{time.Millisecond, 1}, {time.Second, 0}} {
		synctest.Test(t, func(t *testing.T) {
			s := &starter{slow: time.Minute}
			b := startEager(t, s, one)
			testkit.Pass(c.after)
			b.cancel()
			synctest.Wait()
			if s.dropped != c.dropped || b.runs() != 0 || len(b.forgotten) != 2 {
				t.Errorf("after %v: %d dropped, %d run on, forgotten %v", c.after, s.dropped, b.runs(), b.forgotten)
			}
			testkit.Pass(time.Minute)
			if s.started != 1 {
				t.Errorf("%d started", s.started)
			}
		})
	}
}

// TestEagerFaults: a check that Start does not make is Probe's, and a panic is a failure.
func TestEagerFaults(t *testing.T) {
	for _, c := range []struct {
		s    starter
		want string
	}{
		{starter{refuses: true}, "up"},
		{starter{panics: "start"}, "up"},
		{starter{panics: "look"}, "unhealthy"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := c.s
			b := startEager(t, &s, one)
			testkit.Pass(10 * time.Millisecond)
			b.expect(c.want)
			if c.s.panics != "" && !strings.Contains(strings.Join(b.lines, "\n"), "[alert] panic while checking peer") {
				t.Errorf("got %q", b.lines)
			}
			if n := s.dropped; c.s.panics == "look" && n != 1 {
				t.Errorf("%d dropped", n)
			}
		})
	}
}
