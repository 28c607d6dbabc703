package cluster

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"starling/zone"
)

var (
	swarmSeed = flag.Uint64("swarm.seed", 0, "run this seed only")
	swarmRuns = flag.Int("swarm.runs", 25, "how many seeds to run")
)

// swarm breaks a cluster at random, in ways after which nothing may be lost: connections are cut mid-frame and stall,
// nodes are cut off from each other, and newcomers arrive, all within what the journals' rings hold.
type swarm struct {
	*fabric
	rand    *rand.Rand
	charged map[string]int64
}

const swarmKeys = 40

func TestSwarm(t *testing.T) {
	first, runs := uint64(1), *swarmRuns
	if *swarmSeed != 0 {
		first, runs = *swarmSeed, 1
	}
	for seed := first; seed < first+uint64(runs); seed++ {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := &swarm{fabric: newFabric(t, 2+int(seed%3)), rand: rand.New(rand.NewPCG(seed, 7)), charged: make(map[string]int64)}
			s.fabric.rand = s.rand
			s.settle(1000, "ready", s.ready)
			for range 400 {
				s.act()
				s.step(1 + s.rand.IntN(3))
			}
			s.heal()
			s.settle(AloneMS+1000, "ready", s.ready)
			s.step(100)
			s.check()
		})
		if !ok {
			t.Fatalf("replay with: go test ./cluster -run TestSwarm -swarm.seed %d", seed)
		}
	}
}

// act does one random thing: mostly work, sometimes harm.
func (s *swarm) act() {
	h := s.hosts[s.rand.IntN(len(s.hosts))]
	key := fmt.Sprint("k", s.rand.IntN(swarmKeys))
	switch n := s.rand.IntN(100); {
	case n < 40:
		times := 1 + s.rand.IntN(5)
		h.hit(key, times)
		s.charged[key] += int64(times)
	case n < 60:
		h.set(key, fmt.Sprint(h.index, "-", s.rand.Uint32()))
	case n < 65:
		// A key that is not there is fine too.
		_ = h.keyval.Delete([]byte(key), h.node.ClusterTime(h.reading()))
	case n < 75:
		s.step(s.rand.IntN(20))
	case n < 82 && len(s.pipes) > 0:
		s.cut(s.pipes[s.rand.IntN(len(s.pipes))])
	case n < 85 && len(s.pipes) > 0:
		s.cutHalf(s.pipes[s.rand.IntN(len(s.pipes))])
	case n < 90 && len(s.pipes) > 0:
		p := s.pipes[s.rand.IntN(len(s.pipes))]
		p.stalled = !p.stalled
	case n < 94:
		other := s.hosts[s.rand.IntN(len(s.hosts))]
		s.blocked[pair(h.index, other.index)] = true
		for _, p := range s.pipes {
			if pair(p.hosts[0], p.hosts[1]) == pair(h.index, other.index) {
				s.cut(p)
			}
		}
	case n < 97:
		clear(s.blocked)
	case n < 98 && len(s.hosts) < 6:
		s.add()
		for _, h := range s.hosts {
			h.know(len(s.hosts))
		}
	}
}

// heal ends all harm.
func (s *swarm) heal() {
	clear(s.blocked)
	for _, p := range s.pipes {
		p.stalled = false
	}
}

// check compares every host with what was done.
func (s *swarm) check() {
	s.t.Helper()
	var want [zone.Shards]uint64
	s.hosts[0].keyval.Digests(&want)
	for _, h := range s.hosts {
		for key, total := range s.charged {
			if got := h.excess(key); got != total && got != total-1 {
				s.t.Errorf("host%d counts %d on %s, want %d", h.index, got, key, total)
			}
		}
		var got [zone.Shards]uint64
		if h.keyval.Digests(&got); got != want {
			s.t.Errorf("host%d and host0 hold different pairs", h.index)
		}
		if lines := h.said("resync"); lines != nil {
			s.t.Logf("host%d: %s", h.index, lines)
		}
	}
	if s.t.Failed() {
		for _, h := range s.hosts {
			for _, e := range h.events {
				s.t.Logf("host%d: %s", h.index, e.Text)
			}
		}
	}
}
