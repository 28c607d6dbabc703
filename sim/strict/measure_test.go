package strict

import (
	"flag"
	"fmt"
	"testing"

	"starling/cluster/strict"
)

var measureFlag = flag.Bool("measure", false, "print the tables of the decision page instead of a short check")

// crashShare is the share of what one node admits in the second after a crash, over some seeds.
func crashShare(hosts int, limit strict.Limit, leaseUS int64, owner bool, seeds int) (mean, worst float64) {
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
		// A client of the host that crashed gets no answer; a single node would have admitted as much as the others ask.
		share := float64(after.Admitted-before.Admitted) / float64(after.Allowed-before.Allowed)
		mean += share / float64(seeds)
		worst = min(worst, share)
	}
	return mean, worst
}

func TestCrashes(t *testing.T) {
	for _, c := range []struct {
		rate, burst int64
	}{{1000, 999}, {20, 19}, {20, 5}, {100, 0}} {
		for _, lease := range []int64{150_000, 250_000, 500_000} {
			line := ""
			for _, hosts := range []int{3, 7, 15} {
				for _, owner := range []bool{true, false} {
					mean, worst := crashShare(hosts, strict.Limit{Rate: c.rate * strict.Request, Burst: c.burst}, lease, owner, 6)
					line += fmt.Sprintf("%d owner %v %.1f (%.1f) ", hosts, owner, mean*100, worst*100)
				}
			}
			t.Log(c.rate, c.burst, lease, line)
		}
	}
}
