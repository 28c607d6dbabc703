package sim

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"starling/lib/testkit"
)

// TestSwarmOfConnections runs many seeds of connections, like TestSwarm.
func TestSwarmOfConnections(t *testing.T) {
	if *seedFlag != 0 {
		runConnections(t, *seedFlag)
		return
	}
	runs := *swarmFlag
	if runs == 0 {
		runs = 60
		if n, err := strconv.Atoi(os.Getenv("SWARM")); err == nil {
			runs = n / 4 // there are fewer ways to harm than in TestSwarm
		}
	}
	if testing.Short() || testkit.Race {
		runs = min(runs, 10)
	}
	seeds := make(chan uint64)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range seeds {
				runConnections(t, seed)
			}
		})
	}
	for seed := *firstFlag; seed < *firstFlag+uint64(runs) && !t.Failed(); seed++ {
		if *onlyFlag == "" || *onlyFlag == connFlavours[seed%uint64(len(connFlavours))].name {
			seeds <- seed
		}
	}
	close(seeds)
	wg.Wait()
}

func runConnections(t *testing.T, seed uint64) {
	failures, w := Connections(seed, *seedFlag != 0)
	if len(failures) == 0 {
		return
	}
	for _, failure := range failures[:min(len(failures), 5)] {
		t.Errorf("seed %d (%s): %s", seed, connFlavours[seed%uint64(len(connFlavours))].name, failure)
	}
	t.Errorf("replay with: go test ./sim -run Connections -seed=%d", seed)
	if *seedFlag != 0 {
		for _, line := range w.Log {
			t.Log(line)
		}
	}
}

// A seed says everything: the same one does the same twice.
func TestSeedsOfConnectionsReplay(t *testing.T) {
	if testkit.Race {
		t.Skip("slow under the race detector, which has nothing to do with it")
	}
	for seed := range uint64(len(connFlavours)) {
		_, one := Connections(seed, false)
		_, two := Connections(seed, false)
		if one.nowMS != two.nowMS || one.moved != two.moved {
			t.Errorf("seed %d took %d ms and %d bytes, then %d ms and %d bytes", seed, one.nowMS, one.moved, two.nowMS, two.moved)
		}
	}
}
