package strict

import (
	"flag"
	"fmt"
	"slices"
	"testing"

	"starling/cluster/strict"
	"starling/lib/testkit"
)

// skipUnderRace skips what takes minutes with the race detector, which has nothing to find in one goroutine.
func skipUnderRace(t *testing.T) {
	t.Helper()
	if testkit.Race {
		t.Skip("slow under the race detector, which has nothing to find in one goroutine")
	}
}

var onlyFlag = flag.String("limit", "", "measure this one only")

var measureFlag = flag.Bool("measure", false, "print the tables of the decision page instead of a short check")

// result is what one run admitted beside a single node.
type result struct {
	share    float64 // of what one node admits
	messages float64 // that move pieces, per admitted request
	waitedP  float64 // part of the admitted requests that waited
	p99US    int64   // of the wait of all admitted requests
	worst    float64 // requests above the bucket at the worst moment
	over     int64   // admitted minus allowed
}

func run(t *testing.T, hosts int, limit strict.Limit, times float64, pattern Pattern, seed uint64) result {
	t.Helper()
	setup := Setup{Hosts: hosts, Limit: limit, LeaseUS: 150_000, LagUS: 300, DriftPPM: 200, Seed: seed}
	durationUS := int64(20_000_000)
	if limit.Rate < strict.Request { // hours: without the pings of short leases
		setup.LeaseUS, durationUS = 60_000_000, 2*3600*1_000_000
	}
	w := New(setup)
	w.Run(2_000_000 + 2*setup.LeaseUS)
	before := w.Messages
	w.Offer("key", times, pattern, durationUS)
	w.Run(durationUS + 100_000)
	for _, failure := range w.Failures {
		t.Errorf("%d hosts, %+v, %.0fx %s, seed %d: %s", hosts, limit, times, pattern, seed, failure)
	}
	sum := w.Sum()
	slices.Sort(w.WaitsUS)
	r := result{
		share: float64(sum.Admitted) / float64(sum.Allowed), messages: float64(w.Messages-before) / float64(sum.Admitted),
		waitedP: float64(len(w.WaitsUS)) / float64(sum.Admitted), worst: sum.Worst, over: sum.Admitted - sum.Allowed,
	}
	if at := int(sum.Admitted) * 99 / 100; at >= int(sum.Admitted)-len(w.WaitsUS) {
		r.p99US = w.WaitsUS[at-(int(sum.Admitted)-len(w.WaitsUS))]
	}
	return r
}

var limits = map[string]strict.Limit{
	"1000 r/s b1000": {Rate: 1000 * strict.Request, Burst: 1000},
	"20 r/s b20":     {Rate: 20 * strict.Request, Burst: 20},
	"1 r/m b5":       {Rate: strict.Request / 60, Burst: 5},
	"100 r/s b0":     {Rate: 100 * strict.Request},
}

// TestTargets holds the targets of the design at a few points; -measure prints all.
func TestTargets(t *testing.T) {
	skipUnderRace(t)
	names, hosts, factors, seeds := []string{"1000 r/s b1000"}, []int{3}, []float64{3}, uint64(1)
	if *measureFlag {
		names, hosts = []string{"1000 r/s b1000", "20 r/s b20", "1 r/m b5", "100 r/s b0"}, []int{3, 7, 15}
		factors, seeds = []float64{0.5, 3, 50}, 2
	}
	for _, name := range names {
		if *onlyFlag != "" && name != *onlyFlag {
			continue
		}
		for _, n := range hosts {
			for _, pattern := range []Pattern{Even, One, Shift} {
				line := fmt.Sprintf("| %s, %d %s |", name, n, pattern)
				for _, times := range factors {
					r := result{over: -1 << 60}
					for seed := range seeds {
						one := run(t, n, limits[name], times, pattern, seed+1)
						r.share += one.share / float64(seeds)
						r.messages += one.messages / float64(seeds)
						r.waitedP += one.waitedP / float64(seeds)
						r.p99US = max(r.p99US, one.p99US)
						r.over = max(r.over, one.over)
					}
					line += fmt.Sprintf(" %.1f / %.3f / %.0f %% / %.1f ms / %d |", 100*r.share, r.messages, 100*r.waitedP,
						float64(r.p99US)/1000, r.over)
					if limits[name].Burst == 1000 && times > 1 && (r.share < 0.97 || r.messages >= 0.1 || r.p99US > 0) {
						t.Errorf("missed: %s", line)
					}
				}
				if *measureFlag {
					fmt.Println(line)
				}
			}
		}
	}
}

// crash returns the share of what one node admits in the second after a crash: the mean over some seeds, and the worst.
func crash(hosts int, limit strict.Limit, leaseUS int64, owner bool, seeds int) (mean, worst float64) {
	worst = 2
	for seed := range seeds {
		w := New(Setup{Hosts: hosts, Limit: limit, LeaseUS: leaseUS, LagUS: 300, DriftPPM: 200, Seed: uint64(seed) + 1})
		w.Run(3_000_000)
		w.Offer("key", 3, Even, 8_000_000)
		w.Run(3_000_000 + w.rng.Int64N(100_000))
		victim := 0
		for i, h := range w.hosts {
			if h.node.Owns("key") == owner {
				victim = i
			}
		}
		before := w.Sum()
		w.crash(victim)
		w.Run(1_000_000)
		after := w.Sum()
		share := float64(after.Admitted-before.Admitted) / float64(after.Allowed-before.Allowed)
		mean += share / float64(seeds)
		worst = min(worst, share)
	}
	return mean, worst
}

// TestCrashes: after a crash of the owner or of a holder, at least 90 % of the limit are admitted in the next second.
func TestCrashes(t *testing.T) {
	skipUnderRace(t)
	names, hosts, leases, seeds := []string{"1000 r/s b1000"}, []int{3}, []int64{150_000}, 4
	if *measureFlag {
		names, hosts = []string{"1000 r/s b1000", "20 r/s b20", "100 r/s b0"}, []int{3, 7, 15}
		leases, seeds = []int64{100_000, 150_000, 250_000, 500_000}, 12
	}
	for _, name := range names {
		for _, leaseUS := range leases {
			line := fmt.Sprintf("| %s, %d ms |", name, leaseUS/1000)
			for _, owner := range []bool{true, false} {
				for _, n := range hosts {
					mean, worst := crash(n, limits[name], leaseUS, owner, seeds)
					line += fmt.Sprintf(" %.0f (%.0f) |", 100*mean, 100*worst)
					if limits[name].Burst == 1000 && leaseUS == 150_000 && mean < 0.9 {
						t.Errorf("missed: %s", line)
					}
				}
			}
			if *measureFlag {
				fmt.Println(line)
			}
		}
	}
}
