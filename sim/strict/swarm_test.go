package strict

import (
	"flag"
	"testing"

	"starling/cluster/strict"
	"starling/lib/testkit"
)

var (
	seedFlag   = flag.Uint64("seed", 0, "run this seed only, and print its log")
	swarmFlag  = flag.Int("swarm", 100, "how many seeds to run")
	firstFlag  = flag.Uint64("first", 1, "the first seed")
	stepFlag   = flag.Int("step", 1, "run the first seed of each so many")
	brokenFlag = flag.Int("broken", 0, "with this mutant")
	raftFlag   = flag.Bool("raft", false, "run -seed with the register of the program")
)

func TestSwarm(t *testing.T) {
	if *seedFlag != 0 {
		w := Swarm(*seedFlag, strict.Mutant(*brokenFlag), *raftFlag, true)
		for _, line := range w.Log {
			t.Log(line)
		}
		report(t, *seedFlag, w)
		t.Logf("%+v", w.Sum())
		return
	}
	runs := uint64(*swarmFlag)
	if testing.Short() || testkit.Race {
		runs = min(runs, 20) // a world is one goroutine: the race detector has little to find in it
	}
	for seed := *firstFlag; seed < *firstFlag+runs*uint64(*stepFlag) && !t.Failed(); seed += uint64(*stepFlag) {
		report(t, seed, Swarm(seed, strict.Mutant(*brokenFlag), false, false))
	}
}

// TestSwarmOnRaft: the same with the register of the program. A host crashes and loses its file now and then.
func TestSwarmOnRaft(t *testing.T) {
	runs := uint64(*swarmFlag)
	if testing.Short() || testkit.Race {
		runs = min(runs, 10)
	}
	for seed := *firstFlag; seed < *firstFlag+runs*uint64(*stepFlag) && !t.Failed(); seed += uint64(*stepFlag) {
		report(t, seed, Swarm(seed, strict.Mutant(*brokenFlag), true, false))
	}
}

func report(t *testing.T, seed uint64, w *World) {
	t.Helper()
	for _, failure := range w.Failures {
		t.Errorf("seed %d: %s", seed, failure)
	}
	if len(w.Failures) > 0 {
		t.Errorf("replay with: go test ./sim/strict -run 'Swarm$' -seed=%d [-raft]", seed)
	}
}

// TestSwarmAdmits: a law that nothing is admitted against would hold for an empty cluster, too.
func TestSwarmAdmits(t *testing.T) {
	var admitted, allowed, alone int64
	for seed := range uint64(20) {
		w := Swarm(seed, strict.Whole, seed%2 == 1, false)
		sum := w.Sum()
		admitted += sum.Admitted
		allowed += sum.Allowed
		alone += w.Alone
	}
	if alone == 0 {
		t.Error("no host without a lease admitted its share")
	}
	if admitted < allowed/2 {
		t.Errorf("with faults all the time, %d of %d requests were admitted", admitted, allowed)
	}
	t.Logf("%d of %d, %d alone", admitted, allowed, alone)
}
