package strict

import (
	"testing"

	"starling/cluster/strict"
)

// mutants break a rule each. Their seeds are those of the swarm.
var mutants = []struct {
	name        string
	broken      strict.Mutant
	first, step uint64
}{
	{name: "consent after 0.3 leases", broken: strict.EarlyConsent, first: 1, step: 1},
	{name: "pieces come back empty at a takeover", broken: strict.EmptyTakeover, first: 1, step: 1},
	// Seeds of the fourth flavour, which isolate hosts for just over a lease, and have slow disks.
	{name: "who consented goes on answering", broken: strict.PromiseBroken, first: 3, step: 4},
	{name: "leases are ignored", broken: strict.LeaseIgnored, first: 1, step: 1},
	{name: "lost pieces come back empty", broken: strict.LostCountedEmpty, first: 1, step: 1},
	{name: "messages of earlier views count", broken: strict.OldViewAccepted, first: 1, step: 1},
	{name: "owners do not wait for claims", broken: strict.ClaimsNotAwaited, first: 1, step: 1},
	{name: "newcomers have default pieces", broken: strict.ForgetfulNewcomer, first: 1, step: 1},
	{name: "evicted records leave default pieces", broken: strict.ForgottenDefault, first: 1, step: 1},
	{name: "buckets begin without what was counted before", broken: strict.BeforeForgotten, first: 1, step: 1},
	{name: "a lost lease brings another burst", broken: strict.GenerousFallback, first: 1, step: 1},
}

// Each rule is broken on purpose, and the law must notice it. The register is that of the simulator, which is slower and
// odder than the real one.
func TestTheLawNoticesEachBrokenRule(t *testing.T) { noticesMutants(t, false) }

// The same with the register of the program.
func TestTheLawNoticesBrokenRulesOnRaft(t *testing.T) { noticesMutants(t, true) }

// noticesMutants runs seeds with each mutant until the law notices it.
func noticesMutants(t *testing.T, raft bool) {
	t.Helper()
	skipUnderRace(t)
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			const seedsMost = 800
			for i := range uint64(seedsMost) {
				seed := m.first + i*m.step
				if w := Swarm(seed, m.broken, raft, false); len(w.Failures) > 0 {
					t.Logf("found by run %d, seed %d: %s", i+1, seed, w.Failures[0])
					return
				}
			}
			t.Errorf("%d runs did not notice it", seedsMost)
		})
	}
}
