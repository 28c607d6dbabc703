package sim

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"starling/lib/testkit"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this seed only, and print its log")
	swarmFlag = flag.Int("swarm", 0, "how many seeds to run; 0 is SWARM of the environment, or 100")
	firstFlag = flag.Uint64("first", 1, "the first seed")
	onlyFlag  = flag.String("flavour", "", "run only the seeds of this flavour")
)

// TestSwarm runs many seeds, on all processors: a world is one goroutine.
func TestSwarm(t *testing.T) {
	if *seedFlag != 0 {
		runSeed(t, *seedFlag)
		return
	}
	runs := *swarmFlag
	if runs == 0 {
		runs = 100
		if n, err := strconv.Atoi(os.Getenv("SWARM")); err == nil {
			runs = n
		}
	}
	if testing.Short() || testkit.Race {
		runs = min(runs, 20) // a world is one goroutine: the race detector has little to find in it
	}
	seeds := make(chan uint64)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range seeds {
				runSeed(t, seed)
			}
		})
	}
	for seed := *firstFlag; seed < *firstFlag+uint64(runs) && !t.Failed(); seed++ {
		if *onlyFlag == "" || *onlyFlag == flavours[seed%uint64(len(flavours))].name {
			seeds <- seed
		}
	}
	close(seeds)
	wg.Wait()
}

func runSeed(t *testing.T, seed uint64) {
	failures, w := Swarm(seed, *seedFlag != 0)
	if len(failures) == 0 {
		return
	}
	for _, failure := range failures[:min(len(failures), 5)] {
		t.Errorf("seed %d (%s): %s", seed, flavours[seed%uint64(len(flavours))].name, failure)
	}
	t.Errorf("replay with: go test ./sim -run Swarm -seed=%d", seed)
	if *seedFlag != 0 {
		for _, line := range w.Log {
			t.Log(line)
		}
	}
}

// A seed says everything: the same one does the same twice.
func TestSeedsReplay(t *testing.T) {
	if testkit.Race {
		t.Skip("slow under the race detector, which has nothing to do with it")
	}
	for seed := range uint64(2 * len(flavours)) {
		_, one := Swarm(seed, false)
		_, two := Swarm(seed, false)
		if one.nowMS != two.nowMS || one.moved != two.moved {
			t.Errorf("seed %d took %d ms and %d bytes, then %d ms and %d bytes", seed, one.nowMS, one.moved, two.nowMS, two.moved)
		}
	}
}
