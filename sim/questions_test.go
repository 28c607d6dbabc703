package sim

import (
	"testing"

	"starling/lib/testkit"
)

// TestSwarmOfQuestions runs many seeds of clients whose sessions are asked for.
func TestSwarmOfQuestions(t *testing.T) { swarmOfQuestions().test(t) }

func TestSeedsOfQuestionsReplay(t *testing.T) { swarmOfQuestions().replays(t, 1) }

func swarmOfQuestions() *swarming {
	names := namesOf(questionFlavours, func(f questionFlavour) string { return f.name })
	return &swarming{name: "Questions", flavours: names, run: Questions, seeds: 60, raced: 12, share: 20}
}

// The laws have cases in each flavour: sessions that a peer must tell in time, sessions that are found, waits in vain and
// answers that waited for the acknowledgements of peers.
func TestQuestionsHaveCases(t *testing.T) {
	if testkit.Race {
		t.Skip("TestSwarmOfQuestions runs the same under the race detector")
	}
	for i, f := range questionFlavours {
		promised, found, late, waits := 0, 0, 0, 0
		for seed := uint64(i); seed < 36; seed += uint64(len(questionFlavours)) {
			_, w := Questions(seed, false)
			promised, found, late = promised+w.asking.promised, found+w.asking.found, late+w.asking.late
			for _, h := range w.Hosts {
				waits += int(h.node.Status(h.now()).Deliveries.Waits)
			}
		}
		t.Logf("%s: %d finds must succeed, %d do, %d ran out of time, %d answers waited", f.name, promised, found, late, waits)
		if promised < 20 || found < promised || late < 20 || waits < 20 {
			t.Errorf("flavour %s has too few cases", f.name)
		}
	}
}
