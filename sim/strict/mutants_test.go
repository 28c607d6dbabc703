package strict

import (
	"testing"

	"starling/cluster/strict"
)

// Each rule is broken on purpose, and the law must notice it. The seeds are those of the swarm; those of the fourth
// flavour isolate hosts for just over a lease. The register is that of the simulator, which is slower and odder than
// the real one: TestTheLawNoticesBrokenRulesOnRaft has that.
func TestTheLawNoticesEachBrokenRule(t *testing.T) {
	skipUnderRace(t)
	for _, test := range []struct {
		name        string
		broken      strict.Mutant
		first, step uint64
	}{
		{"consent after 0.3 leases", strict.EarlyConsent, 1, 1},
		{"pieces come back empty at a takeover", strict.EmptyTakeover, 1, 1},
		{"who consented goes on answering", strict.PromiseBroken, 3, 4},
		{"leases are ignored", strict.LeaseIgnored, 1, 1},
		{"lost pieces come back empty", strict.LostCountedEmpty, 1, 1},
		{"messages of earlier views count", strict.OldViewAccepted, 1, 1},
		{"owners do not wait for claims", strict.ClaimsNotAwaited, 1, 1},
		{"newcomers have default pieces", strict.ForgetfulNewcomer, 1, 1},
		{"evicted records leave default pieces", strict.ForgottenDefault, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) { noticed(t, test.broken, test.first, test.step, false) })
	}
}

// noticed runs seeds until the law notices a mutant.
func noticed(t *testing.T, broken strict.Mutant, first, step uint64, raft bool) {
	t.Helper()
	const seedsMost = 800
	for i := range uint64(seedsMost) {
		seed := first + i*step
		if w := Swarm(seed, broken, raft, false); len(w.Failures) > 0 {
			t.Logf("found by run %d, seed %d: %s", i+1, seed, w.Failures[0])
			return
		}
	}
	t.Errorf("%d runs did not notice it", seedsMost)
}

// With the register of the program, too. That who consented must not answer matters if a view is decided long after the
// consents: the program's register decides within two messages or not at all, and minutes of seeds did not notice it.
func TestTheLawNoticesBrokenRulesOnRaft(t *testing.T) {
	skipUnderRace(t)
	for _, test := range []struct {
		name        string
		broken      strict.Mutant
		first, step uint64
	}{
		{"consent after 0.3 leases", strict.EarlyConsent, 1, 1},
		{"pieces come back empty at a takeover", strict.EmptyTakeover, 1, 1},
		{"leases are ignored", strict.LeaseIgnored, 1, 1},
		{"lost pieces come back empty", strict.LostCountedEmpty, 1, 1},
		{"messages of earlier views count", strict.OldViewAccepted, 1, 1},
		{"owners do not wait for claims", strict.ClaimsNotAwaited, 1, 1},
		{"newcomers have default pieces", strict.ForgetfulNewcomer, 1, 1},
		{"evicted records leave default pieces", strict.ForgottenDefault, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) { noticed(t, test.broken, test.first, test.step, true) })
	}
}
