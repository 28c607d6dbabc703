package sim

import (
	"testing"
	"time"
)

// TestSwarmOfHealthChecks runs many seeds of health checks.
func TestSwarmOfHealthChecks(t *testing.T) { swarmOfHealthChecks().test(t) }

func TestSeedsOfHealthChecksReplay(t *testing.T) { swarmOfHealthChecks().replays(t, 1) }

func swarmOfHealthChecks() *swarming {
	names := namesOf(healthFlavours, func(f healthFlavour) string { return f.name })
	return &swarming{name: "HealthChecks", flavours: names, run: HealthChecks, seeds: 40, raced: 5, share: 10}
}

// checking is a cluster of hosts that have checked servers for a while.
func checking(t *testing.T, hosts, servers int) *World {
	options := defaults
	options.HealthBytes, options.Servers = 1<<20, servers
	w := NewWorld(1, options)
	w.latencyMS = 1
	w.Start(hosts)
	if !w.Within(6*time.Second, w.Ready) {
		t.Fatal("the hosts are not ready")
	}
	w.Run(checkedByMS * time.Millisecond)
	t.Cleanup(func() {
		for _, failure := range w.failures {
			t.Error(failure)
		}
	})
	return w
}

// TestHostsShareTheProbes: 5 hosts send the probes of one, a fifth each.
func TestHostsShareTheProbes(t *testing.T) {
	const hosts, servers, intervals = 5, 100, 10
	w := checking(t, hosts, servers)
	total := 0
	for i, n := range w.countProbes(intervals * checkMS * time.Millisecond) {
		total += n
		if fair := servers * intervals / hosts; n < fair/2 || n > fair*2 {
			t.Errorf("host %d sent %d probes, its share is %d", i, n, fair)
		}
	}
	if want := servers * intervals; total < want-servers || total > want+servers {
		t.Errorf("%d probes of %d servers in %d intervals", total, servers, intervals)
	}
}

// TestTheServersOfACrashedHostAreProbedByOthers, each before its next probe is late.
func TestTheServersOfACrashedHostAreProbedByOthers(t *testing.T) {
	w := checking(t, 4, 40)
	w.Hosts[1].crash()
	for range 5 * checkMS {
		w.Run(time.Millisecond)
		for _, s := range w.servers {
			if gap := w.nowMS - s.lastMS; gap > checkMS+100 {
				t.Fatalf("%s was not probed for %d ms", s.name, gap)
			}
		}
	}
	total := 0
	for _, n := range w.countProbes(10 * checkMS * time.Millisecond) {
		total += n
	}
	if total < 39*10 || total > 41*10 {
		t.Errorf("3 hosts sent %d probes to 40 servers in 10 intervals", total)
	}
}

// TestAHostWithoutThePathKnowsIt: its clients fail, so it looks itself, and the others lose nothing.
func TestAHostWithoutThePathKnowsIt(t *testing.T) {
	w := checking(t, 3, 10)
	hurt := w.Hosts[2]
	for _, s := range w.servers {
		hurt.checks[s.name].noPath = true
	}
	if !w.Within(checkMS*3/2*time.Millisecond, func() bool { return w.mistaken() == "" }) {
		t.Error(w.mistaken())
	}
	for range 3 * checkMS {
		w.Run(time.Millisecond)
		if wrong := w.mistaken(); wrong != "" {
			t.Fatal(wrong)
		}
	}
	for _, s := range w.servers {
		hurt.checks[s.name].noPath = false
	}
	if !w.Within(checkMS*3/2*time.Millisecond, func() bool { return w.mistaken() == "" }) {
		t.Errorf("when the path is back: %s", w.mistaken())
	}
}
