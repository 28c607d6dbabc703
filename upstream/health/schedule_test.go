package health_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/testkit"
	"starling/upstream/health"
)

// TestChecksAreSpread: the first ones come at once, the others evenly over the interval, several together.
func TestChecksAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const servers, interval = 1000, 10 * time.Second
		var all []string
		for i := range servers {
			all = append(all, fmt.Sprintf("192.0.2.1:%d", 1000+i))
		}
		before := runtime.NumGoroutine()
		b := setUp(t, health.Check{Interval: interval}, all).start()
		if b.probed() != servers || b.atMost() > 512 {
			t.Errorf("%d probes at the start, %d at once", b.probed(), b.atMost())
		}
		const parked = 64 // however many servers there are
		if n := runtime.NumGoroutine() - before; n > parked+2 {
			t.Errorf("%d goroutines while nothing is due", n)
		}
		testkit.Pass(interval)
		b.taken()
		testkit.Pass(interval)
		var tenths [11]int
		last, moments := map[string]time.Duration{}, map[time.Duration]bool{}
		for _, p := range b.taken() {
			tenths[(p.at-interval)*10/interval]++
			last[p.what] = p.at
			moments[p.at] = true
		}
		if len(moments) > 41 {
			t.Errorf("%d wake-ups for %d probes", len(moments), servers)
		}
		for i, n := range tenths[:10] {
			if n < servers/20 || n > servers/5 {
				t.Errorf("%d of %d probes in the tenth %d", n, servers, i)
			}
		}
		testkit.Pass(interval)
		for _, p := range b.taken() {
			if p.at-last[p.what] != interval {
				t.Fatalf("%s after %v", p.what, p.at-last[p.what])
			}
		}
	})
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const jitter = 500 * time.Millisecond
		b := setUp(t, health.Check{Jitter: jitter}, []string{one}).start()
		testkit.Pass(time.Minute)
		seen := map[time.Duration]bool{}
		probes := b.taken()
		for i := 2; i < len(probes); i++ {
			pause := probes[i].at - probes[i-1].at
			if pause < time.Second || pause > time.Second+jitter+50*time.Millisecond { // rounded up
				t.Errorf("a pause of %v", pause)
			}
			seen[pause] = true
		}
		if len(seen) < 5 {
			t.Errorf("the pauses are alike: %v", seen)
		}
	})
}

// TestServersThatHang occupy a bounded number of goroutines, and all are released when the configuration ends.
func TestServersThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []string
		for i := range 700 {
			all = append(all, fmt.Sprintf("192.0.2.1:%d", 1000+i))
		}
		b := setUp(t, health.Check{}, all)
		b.hang = true
		b.start()
		testkit.Pass(time.Minute)
		if b.runs() != 512 {
			t.Errorf("%d at once", b.runs())
		}
		b.cancel()
		synctest.Wait()
		if b.runs() != 0 || len(b.forgotten) != len(all) {
			t.Errorf("%d run on, %d of %d are forgotten", b.runs(), len(b.forgotten), len(all))
		}
		before := b.probed()
		b.add(two)
		testkit.Pass(time.Minute)
		if b.probed() != before {
			t.Error("checks go on")
		}
	})
}

// TestPanics: a fault in a check is a failure, not the end of the process.
func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(t, health.Check{}, []string{one}, "panics").start()
		b.expect("unhealthy")
		if len(b.lines) != 2 || !strings.HasPrefix(b.lines[0], "[alert] panic while checking peer 192.0.2.1:80 in upstream \"u\": on purpose") {
			t.Errorf("got %q", b.lines)
		}
	})
}
