package strict

import (
	"testing"

	"starling/cluster/strict"
)

// With shares, the smaller side of a partition goes on with an even part each, and without another burst; the larger
// side stays within the whole limit. Together that is less than one and a half limits.
func TestAMinorityAdmitsItsShare(t *testing.T) {
	w := New(Setup{
		Hosts: 5, Limit: strict.Limit{Rate: 1000 * strict.Request, Burst: 999}, LeaseUS: 150_000, LagUS: 300, DriftPPM: 200,
		Seed: 7, Share: true,
	})
	t.Cleanup(func() {
		for _, failure := range w.Failures {
			t.Error(failure)
		}
	})
	w.Run(2_500_000)
	w.Offer("key", 5, Even, 10_000_000)
	w.Run(2_000_000)
	w.cutFor(3_000_000, func(a, b int) bool { return (a < 2) != (b < 2) })
	w.Run(400_000) // 250 ms without a lease: at most 200 r/s each
	if w.Alone > 2*60 {
		t.Errorf("%d requests are admitted alone at the beginning: a burst", w.Alone)
	}
	before := w.Alone
	if share := w.admits(1_500_000); share < 0.97 {
		t.Errorf("the majority admits %.2f", share)
	}
	if alone := w.Alone - before; alone < 540 || alone > 602 {
		t.Errorf("two hosts with 200 r/s each admit %d in 1.5 s", alone)
	}
	w.Run(1_500_000)
	before = w.Alone
	if share := w.admits(1_500_000); share < 0.97 {
		t.Errorf("afterwards %.2f", share)
	}
	if w.Alone != before {
		t.Errorf("%d requests are admitted alone, though all hosts have a lease", w.Alone-before)
	}
}

// If no side has a majority, the shares of all hosts add up to the limit: no more is admitted than by one node.
func TestSharesOfAllHostsAreTheLimit(t *testing.T) {
	w := New(Setup{
		Hosts: 4, Limit: strict.Limit{Rate: 1000 * strict.Request, Burst: 99}, LeaseUS: 150_000, LagUS: 300, DriftPPM: 200,
		Seed: 7, Share: true,
	})
	w.Run(2_500_000)
	w.Offer("key", 5, Even, 10_000_000)
	w.Run(1_000_000)
	w.cutFor(5_000_000, func(a, b int) bool { return (a < 2) != (b < 2) })
	w.Run(500_000)
	before, sum := w.Alone, w.Sum()
	w.Run(4_000_000)
	after := w.Sum()
	alone, allowed := w.Alone-before, after.Allowed-sum.Allowed
	if after.Admitted != sum.Admitted || alone > allowed+4 || alone < allowed*97/100 {
		t.Errorf("%d of %d are admitted alone, %d as members", alone, allowed, after.Admitted-sum.Admitted)
	}
	for _, failure := range w.Failures {
		t.Error(failure)
	}
}
