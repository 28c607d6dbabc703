package cluster

import (
	"fmt"
	"testing"
)

func TestKeyReachesTheOthers(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	f.hosts[0].set("colour", "green")
	f.settle(20, "known everywhere", func() bool { return f.hosts[1].get("colour") == "green" && f.hosts[2].get("colour") == "green" })
	now := f.hosts[2].reading()
	if err := f.hosts[2].keyval.Delete([]byte("colour"), now); err != nil {
		t.Fatal(err)
	}
	f.settle(20, "deleted everywhere", func() bool { return f.hosts[0].get("colour") == "" && f.hosts[1].get("colour") == "" })
}

// Three nodes count 1,000 requests each on one key; meanwhile a connection breaks and a newcomer comes. All count
// 3,000.
func TestCountsAddUpThroughReconnectAndNewcomer(t *testing.T) {
	for seed := range 20 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			f := newFabric(t, 3)
			f.settle(1000, "ready", f.ready)
			var newcomer *host
			for i := range 1000 {
				for _, h := range f.hosts[:3] {
					h.hit("10.0.0.1", 1)
				}
				switch i {
				case 300 + seed, 350, 600 + 7*seed:
					f.cut(f.pipes[(seed+i)%len(f.pipes)])
				case 500 + 3*seed:
					newcomer = f.add()
					for _, h := range f.hosts {
						h.know(4)
					}
				}
				if i%3 == seed%3 {
					f.step(1)
				}
			}
			f.settle(5000, "ready", f.ready)
			f.step(50)
			for _, h := range f.hosts {
				// The first request is free, and a minute's sixtieth may have drained.
				if got := h.excess("10.0.0.1"); got != 3000 && got != 2999 {
					t.Errorf("host%d counts %d, want 3000", h.index, got)
				}
			}
			if newcomer.node.Status(f.now).Node.NodesOnline != 3 {
				t.Error("the newcomer is not connected to all")
			}
		})
	}
}

func TestNewcomerIsTaughtEverything(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	for i := range 5000 {
		f.hosts[i%3].set(fmt.Sprintf("key%d", i), fmt.Sprintf("value%d", i))
		if i%100 == 0 {
			f.step(1)
		}
	}
	f.step(100)
	newcomer := f.add()
	for _, h := range f.hosts {
		h.know(4)
	}
	f.settle(500, "ready", f.ready)
	for i := range 5000 {
		if got := newcomer.get(fmt.Sprintf("key%d", i)); got != fmt.Sprintf("value%d", i) {
			t.Fatalf("key%d is %q at the newcomer", i, got)
		}
	}
	f.step(3 * digestEveryMS)
	for _, h := range f.hosts {
		for _, p := range h.node.Status(h.reading()).Peers {
			if a := p.Digests["kv"]; a.State != "agree" {
				t.Errorf("host%d and %s: %+v", h.index, p.NodeID, a)
			}
		}
	}
}

// A node that was away while the ring ran over is taught; what it wrote meanwhile reaches the others.
func TestOverrunIsTaught(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.blocked[pair(0, 1)] = true
	for _, p := range f.pipes {
		f.cut(p)
	}
	for i := range 2 * minRingFrames {
		f.hosts[0].set(fmt.Sprintf("a%d", i), "x")
		f.hosts[1].set(fmt.Sprintf("b%d", i), "y")
		f.hosts[0].hit("k", 1)
		f.step(1)
	}
	f.blocked = map[[2]int]bool{}
	last := 2*minRingFrames - 1
	f.settle(1000, "merged", func() bool {
		return f.hosts[1].get("a0") == "x" && f.hosts[0].get("b0") == "y" &&
			f.hosts[1].get(fmt.Sprintf("a%d", last)) == "x" && f.hosts[0].get(fmt.Sprintf("b%d", last)) == "y"
	})
	f.step(50)
	a, b := f.hosts[0].excess("k"), f.hosts[1].excess("k")
	if a != b {
		t.Errorf("levels %d and %d after an overrun", a, b)
	}
	f.hosts[1].hit("k", 10)
	f.step(30)
	if got := f.hosts[0].excess("k"); got < a+9 || got > a+10 {
		t.Errorf("10 more requests made %d of %d", got, a)
	}
}

func TestRestartIsTaughtAndCountsOn(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	for _, h := range f.hosts {
		h.hit("k", 100)
		h.set(fmt.Sprint("of", h.index), "1")
	}
	f.step(50)
	f.hosts[1].crash()
	f.hosts[0].hit("k", 50)
	f.step(20)
	f.hosts[1].start()
	f.settle(1000, "ready", f.ready)
	f.hosts[1].hit("k", 50)
	f.step(50)
	for _, h := range f.hosts {
		if got := h.excess("k"); got != 400 && got != 399 {
			t.Errorf("host%d counts %d, want 400", h.index, got)
		}
		if h.get("of1") != "1" {
			t.Errorf("host%d lost a key", h.index)
		}
	}
}

func TestDrainAndStop(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.hosts[0].set("k", "v")
	if f.hosts[0].node.Drained() {
		t.Error("drained with a change waiting")
	}
	f.settle(50, "drained", f.hosts[0].node.Drained)
	f.hosts[0].node.Stop()
	f.step(2)
	if ends := f.hosts[1].node.Status(f.now).Node.NodesOnline; ends != 0 {
		t.Errorf("%d nodes online after the other stopped", ends)
	}
}

// A node alone is ready after AloneMS, not before, and keeps the costs that it held.
func TestAlone(t *testing.T) {
	f := newFabric(t, 2)
	f.hosts[1].down = true
	f.hosts[0].hit("k", 5)
	f.step(AloneMS - 10)
	if f.hosts[0].node.Ready() {
		t.Error("ready before it waited for a teacher")
	}
	f.step(20)
	if !f.hosts[0].node.Ready() {
		t.Error("not ready alone")
	}
	if got := f.hosts[0].excess("k"); got < 4 || got > 5 {
		t.Errorf("counts %d of 5", got)
	}
}
