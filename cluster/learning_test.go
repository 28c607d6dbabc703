package cluster

import (
	"fmt"
	"testing"
)

// beginFrom starts a host anew with pairs of a state file, others being what only this host has.
func (h *host) beginFrom(others int) {
	h.crash()
	h.start()
	for i := range others {
		h.preload(fmt.Sprint("of", h.index, ".", i), "1")
	}
	h.preload("shared", "1")
	node, err := New(Config{ID: h.node.id, Incarnation: 99, Zones: h.zones(), Driver: h}, h.reading())
	if err != nil {
		h.f.t.Fatal(err)
	}
	h.node = node
}

// Nodes that begin together from state files let their clients wait until each has what the others had.
func TestNodesThatBeginTogetherWaitForEachOther(t *testing.T) {
	for _, c := range []struct {
		name            string
		pairs           []int // that only the host has in its file; -1 is no file
		members         int   // more than the hosts: some are away
		delayMS, withMS int   // until the last host is there; until the last wait is over
	}{
		{"two", []int{3, 3}, 2, 0, 500},
		{"two that hold the same", []int{0, 0}, 2, 0, 50},
		{"one without a file", []int{5, -1}, 2, 0, 500},
		{"the other without a file", []int{-1, 5}, 2, 0, 500},
		{"three", []int{1, 2, 3}, 3, 0, 1000},
		{"a third is away", []int{3, 3}, 3, 0, 500},
		{"one a second later", []int{3, 3}, 2, 1000, 500},
		{"too many differences to repair", []int{5000, 5000}, 2, 0, 1500},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFabric(t, len(c.pairs))
			last := f.hosts[len(f.hosts)-1]
			for i, h := range f.hosts {
				if h.crash(); c.pairs[i] < 0 {
					h.start()
				} else {
					h.beginFrom(c.pairs[i])
				}
				h.know(c.members)
				h.members = h.members[:min(len(h.members), len(f.hosts)-1)]
			}
			for _, h := range f.hosts[:len(f.hosts)-1] {
				f.blocked[pair(h.index, last.index)] = c.delayMS > 0
			}
			f.step(c.delayMS)
			clear(f.blocked)
			serves, began := map[*host]bool{}, f.now.MonoMS
			for len(serves) < len(f.hosts) {
				f.step(1)
				if f.now.MonoMS-began > int64(c.withMS) {
					t.Fatalf("after %d ms only %d of %d serve clients", c.withMS, len(serves), len(f.hosts))
				}
				for _, h := range f.hosts {
					if serves[h] || h.node.Learning() || !h.heardFrom(len(f.hosts)-1) {
						continue
					}
					serves[h] = true
					for i, others := range c.pairs {
						for k := range max(others, 0) {
							if h.get(fmt.Sprint("of", i, ".", k)) == "" {
								t.Fatalf("host%d serves clients and lacks pair %d of host%d", h.index, k, i)
							}
						}
					}
				}
			}
		})
	}
}

// Records of a state file can be fresh, and a comparison that began early ignores such: clients wait for the next one.
func TestClientsWaitForFreshRecordsOfAStateFile(t *testing.T) {
	f := newFabric(t, 2)
	for _, h := range f.hosts {
		h.beginFrom(3)
		h.know(2)
	}
	h := f.hosts[0]
	for !h.heardFrom(1) || !h.node.Ready() {
		f.step(1)
	}
	for h.node.Learning() {
		f.step(1)
	}
	agree := func(left int, agreedMS int64) {
		h.node.mu.Lock()
		defer h.node.mu.Unlock()
		for _, p := range h.node.peers {
			c := p.comparison("kv")
			c.left, c.sinceMS, c.agreedMS = left, f.now.MonoMS, agreedMS
		}
	}
	if agree(3, 0); !h.node.Learning() {
		t.Error("clients are served although the last comparison ignored three records")
	}
	if agree(0, f.now.MonoMS); h.node.Learning() {
		t.Error("clients wait although both hold the same")
	}
	if agree(5, f.now.MonoMS); h.node.Learning() {
		t.Error("clients wait for what was written after both held the same")
	}
}

// heardFrom says whether all others that are there have answered: the carrier waits for that.
func (h *host) heardFrom(others int) bool {
	return h.node.Status(h.reading()).Node.NodesOnline == int64(others)
}
