package cache_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/testkit"
	"starling/web/cache"
)

// paced is how many responses the tests of a pace have.
const paced = 30

// filled is a cache with that many responses, each a block on the disk, which were loaded.
func filled(t *testing.T, s cache.Settings) *store {
	t.Helper()
	one := start(t, s)
	for i := range paced {
		one.wants(fmt.Sprint("p", i), "x", "MISS", "x")
	}
	return one
}

// paces are the ways to pause, with the most steps that are made at once. Time stands still in a bubble unless all
// sleep, so a threshold of 0 is always exceeded, and another one never.
var paces = []struct {
	name string
	cache.Pace
	steps int
}{
	{"files", cache.Pace{Files: 10, Sleep: time.Second, Threshold: time.Hour}, 10},
	{"fewer files, a longer sleep", cache.Pace{Files: 6, Sleep: 3 * time.Second, Threshold: time.Hour}, 6},
	{"threshold", cache.Pace{Files: 1000, Sleep: time.Second}, 1},
	{"neither", cache.Pace{Files: 1000, Sleep: time.Second, Threshold: time.Hour}, paced + 1},
}

// wantsPaced wants work to be done in steps with sleeps between. The file with the purges can be one of those visited.
func wantsPaced(t *testing.T, name string, p cache.Pace, steps int, done func() int) {
	t.Helper()
	for round := 1; ; round++ {
		synctest.Wait()
		got, most := done(), min(round*steps, paced)
		if got > most || got < most-1 {
			t.Errorf("%s: %d files after %d rounds, want %d", name, got, round, most)
			return
		}
		if got == paced {
			return
		}
		testkit.Pass(p.Sleep - time.Millisecond)
		if again := done(); again != got {
			t.Errorf("%s: %d files before the end of the sleep, want %d", name, again, got)
		}
		testkit.Pass(time.Millisecond)
	}
}

// loader_files, loader_sleep and loader_threshold.
func TestLoaderPace(t *testing.T) {
	for _, p := range paces {
		synctest.Test(t, func(t *testing.T) {
			made := filled(t, settings(filepath.Join(t.TempDir(), "c")))
			made.hand(t)
			one := settings(made.Path)
			one.Loader = p.Pace
			s := start(t, one)
			s.Run(t.Context())
			wantsPaced(t, p.name, p.Pace, p.steps, func() int { return s.Report().Keys })
			testkit.Pass(p.Sleep)
			if s.Report().Cold {
				t.Errorf("%s: the loader has not ended", p.name)
			}
		})
	}
}

// manager_files, manager_sleep and manager_threshold.
func TestManagerPace(t *testing.T) {
	for _, p := range paces {
		synctest.Test(t, func(t *testing.T) {
			one := settings(filepath.Join(t.TempDir(), "c"))
			s := filled(t, one)
			s.Run(t.Context())
			synctest.Wait()
			one.Manager, one.MaxBytes = p.Pace, 4096
			s.Configure(one, s.log)
			testkit.Pass(10 * time.Second) // until the manager looks again
			wantsPaced(t, p.name, p.Pace, p.steps, func() int { return paced - len(s.files()) })
		})
	}
}

// purger_files, purger_sleep and purger_threshold; without purger=on, files stay until they are asked for.
func TestPurgerPace(t *testing.T) {
	for _, p := range paces {
		for _, on := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				one := settings(filepath.Join(t.TempDir(), "c"))
				one.Purger, one.Purges = p.Pace, on
				s := filled(t, one)
				s.Run(t.Context())
				synctest.Wait()
				if err := s.PurgeAll([]byte("p"), s.clock.Now()); err != nil {
					t.Fatal(err)
				}
				if on {
					wantsPaced(t, p.name, p.Pace, p.steps, func() int { return paced - len(s.files()) })
					return
				}
				testkit.Pass(time.Minute)
				if n := len(s.files()); n != paced {
					t.Errorf("%s, off: %d files", p.name, n)
				}
			})
		}
	}
}
