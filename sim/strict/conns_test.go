package strict

import (
	"testing"

	"starling/cluster/strict"
	"starling/lib/testkit"
)

func TestSwarmOfConnections(t *testing.T) {
	if *seedFlag != 0 {
		w := SwarmConns(*seedFlag, strict.Mutant(*brokenFlag), *raftFlag, true)
		for _, line := range w.Log {
			t.Log(line)
		}
		report(t, *seedFlag, w)
		t.Logf("opened %d, ended %d, most %v", w.conns.Opened, w.conns.Ended, w.conns.Most)
		return
	}
	runs := uint64(*swarmFlag)
	if testing.Short() || testkit.Race {
		runs = min(runs, 10)
	}
	for seed := *firstFlag; seed < *firstFlag+runs*uint64(*stepFlag) && !t.Failed(); seed += uint64(*stepFlag) {
		report(t, seed, SwarmConns(seed, strict.Mutant(*brokenFlag), seed%2 == 0, false))
	}
}

// Each rule of connections is broken on purpose, and the law must notice it.
func TestTheLawOfConnectionsNoticesEachBrokenRule(t *testing.T) {
	skipUnderRace(t)
	for _, m := range []struct {
		name   string
		broken strict.Mutant
	}{
		{"others release at once", strict.EarlyConsent},
		{"connections are not fenced", strict.NotFenced},
		{"others release before the fence is done", strict.FenceForgotten},
		{"a takeover counts everything as free", strict.ClaimsForgotten},
		{"owners do not wait for claims", strict.ClaimsNotAwaited},
		{"slots in use are returned", strict.UsedReturned},
		{"slots of a larger limit are used", strict.AnyLimitTaken},
		{"leases are ignored", strict.LeaseIgnored},
		{"who consented goes on answering", strict.PromiseBroken},
		{"messages of earlier views count", strict.OldViewAccepted},
	} {
		t.Run(m.name, func(t *testing.T) {
			const seedsMost = 1000
			for seed := uint64(1); seed <= seedsMost; seed++ {
				if w := SwarmConns(seed, m.broken, seed%2 == 0, false); len(w.Failures) > 0 {
					t.Logf("found by seed %d: %s", seed, w.Failures[0])
					return
				}
			}
			t.Errorf("%d runs did not notice it", seedsMost)
		})
	}
}
