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

// Each rule of connections is broken on purpose, and the law must notice it. Seeds begin shortly before one that does.
func TestTheLawOfConnectionsNoticesEachBrokenRule(t *testing.T) {
	skipUnderRace(t)
	for _, m := range []struct {
		name   string
		broken strict.Mutant
		first  uint64
	}{
		{"others release at once", strict.EarlyConsent, 1},
		{"connections are not fenced", strict.NotFenced, 31},
		{"others release before the fence is done", strict.FenceForgotten, 11},
		{"a takeover counts everything as free", strict.ClaimsForgotten, 1},
		{"owners do not wait for claims", strict.ClaimsNotAwaited, 31},
		{"slots in use are returned", strict.UsedReturned, 1},
		{"slots stay although the limit has changed", strict.AnyLimitTaken, 21},
		{"leases are ignored", strict.LeaseIgnored, 21},
		{"who consented goes on answering", strict.PromiseBroken, 21},
	} {
		t.Run(m.name, func(t *testing.T) {
			const seedsMost = 800
			for seed := m.first; seed < m.first+seedsMost; seed++ {
				if w := SwarmConns(seed, m.broken, seed%2 == 0, false); len(w.Failures) > 0 {
					t.Logf("found by seed %d: %s", seed, w.Failures[0])
					return
				}
			}
			t.Errorf("%d runs did not notice it", seedsMost)
		})
	}
}

// TestSwarmOfConnectionsOpensSome: a law against which nothing is opened would hold for an empty cluster, too.
func TestSwarmOfConnectionsOpensSome(t *testing.T) {
	var opened, ended uint64
	full := 0
	for seed := uint64(1); seed <= 20; seed++ {
		w := SwarmConns(seed, strict.Whole, seed%2 == 0, false)
		opened, ended = opened+w.conns.Opened, ended+w.conns.Ended
		for _, most := range w.conns.Most {
			if most >= w.Slots {
				full++
			}
		}
	}
	t.Logf("%d were opened, %d ended by a fence, %d keys were full", opened, ended, full)
	if opened < 500 || ended < 10 || full < 15 {
		t.Errorf("%d were opened, %d ended by a fence, %d keys were full", opened, ended, full)
	}
}
