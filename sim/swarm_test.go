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

// swarming is a test that runs many seeds.
type swarming struct {
	name     string // for -run
	flavours []string
	run      func(seed uint64, traced bool) (failures []string, w *World)
	// seeds are how many by default, raced how many with the race detector at most: a world is one goroutine, in which
	// that has little to find. Of those that SWARM asks for, one in share is run.
	seeds, raced, share int
}

// TestSwarm runs many seeds, on all processors: a world is one goroutine.
func TestSwarm(t *testing.T) { theSwarm().test(t) }

// A seed says everything: the same one does the same twice.
func TestSeedsReplay(t *testing.T) { theSwarm().replays(t, 2) }

func theSwarm() *swarming {
	names := namesOf(flavours, func(f flavour) string { return f.name })
	return &swarming{name: "Swarm", flavours: names, run: Swarm, seeds: 100, raced: 20, share: 1}
}

func namesOf[F any](flavours []F, name func(F) string) (names []string) {
	for _, f := range flavours {
		names = append(names, name(f))
	}
	return names
}

func (s *swarming) flavour(seed uint64) string { return s.flavours[seed%uint64(len(s.flavours))] }

func (s *swarming) test(t *testing.T) {
	if *seedFlag != 0 {
		s.one(t, *seedFlag)
		return
	}
	runs := *swarmFlag
	if runs == 0 {
		runs = s.seeds
		if n, err := strconv.Atoi(os.Getenv("SWARM")); err == nil {
			runs = n / s.share
		}
	}
	if testing.Short() || testkit.Race {
		runs = min(runs, s.raced)
	}
	seeds := make(chan uint64)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range seeds {
				s.one(t, seed)
			}
		})
	}
	for seed := *firstFlag; seed < *firstFlag+uint64(runs) && !t.Failed(); seed++ {
		if *onlyFlag == "" || *onlyFlag == s.flavour(seed) {
			seeds <- seed
		}
	}
	close(seeds)
	wg.Wait()
}

func (s *swarming) one(t *testing.T, seed uint64) {
	failures, w := s.run(seed, *seedFlag != 0)
	if len(failures) == 0 {
		return
	}
	for _, failure := range failures[:min(len(failures), 5)] {
		t.Errorf("seed %d (%s): %s", seed, s.flavour(seed), failure)
	}
	t.Errorf("replay with: go test ./sim -run %s -seed=%d", s.name, seed)
	if *seedFlag != 0 {
		for _, line := range w.Log {
			t.Log(line)
		}
	}
}

// replays runs so many seeds of each flavour twice.
func (s *swarming) replays(t *testing.T, each int) {
	if testkit.Race {
		t.Skip("slow under the race detector, which has nothing to do with it")
	}
	for seed := range uint64(each * len(s.flavours)) {
		_, one := s.run(seed, false)
		_, two := s.run(seed, false)
		if one.nowMS != two.nowMS || one.moved != two.moved {
			t.Errorf("seed %d took %d ms and %d bytes, then %d ms and %d bytes", seed, one.nowMS, one.moved, two.nowMS, two.moved)
		}
	}
}
