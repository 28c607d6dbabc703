package partition

import (
	"strings"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/e2e/lan"
)

// Five hosts show what three cannot: parts without a majority, and ways over several hosts.

// TestTwoTwoAndOne: a cluster falls into three parts, each is written to, and none is the larger one that would be
// right.
func TestTwoTwoAndOne(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 5)
	h.Start(strings.Replace(harness.ShareOne, "EXTRA", "zone_sync_timeout 1s;", 1))
	h.Nodes[0].MakeShared()
	h.Acknowledged()
	parts := [][]*harness.Node{h.Nodes[:2], h.Nodes[2:4], h.Nodes[4:]}
	h.Network.Partition(h.HostsOf(parts[0]), h.HostsOf(parts[1]), h.HostsOf(parts[2]))
	for _, part := range parts {
		for _, n := range part {
			h.Online(n, int64(len(part)-1))
		}
	}
	writers, wrote := h.WriteEverywhere(300, time.Second)
	h.Network.Heal()
	healed := time.Now()
	h.Joined(5)
	pairs, alike := h.Alike()
	for _, w := range writers {
		w.Check(t, pairs)
	}
	h.SaysAgreed(5, healed)
	h.Record("two-two-and-one", map[string]float64{
		"writes": float64(
			wrote,
		), "alike_after_healing_ms": harness.Milliseconds(alike.Sub(healed)), "shown_as_agreeing_after_healing_ms": harness.Milliseconds(time.Since(healed)),
	})
}

// TestFiveHostsInALine: each host reaches its neighbours only, though all are members of all. Nothing is passed on by
// those between, so what the ends write travels by comparing, from one to the next.
func TestFiveHostsInALine(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 5)
	for i, a := range h.Nodes {
		for k, b := range h.Nodes {
			if k > i+1 {
				h.Network.Set(h.At(a), h.At(b), lan.Trouble{Cut: true})
			}
		}
	}
	h.ConfigureAll(strings.Replace(harness.ShareOne, "EXTRA", "zone_sync_timeout 1s;", 1))
	for _, n := range h.Nodes {
		n.Start()
	}
	for i, n := range h.Nodes {
		neighbours := int64(2)
		if i == 0 || i == len(h.Nodes)-1 {
			neighbours = 1
		}
		h.Online(n, neighbours)
	}
	first, last := h.Nodes[0], h.Nodes[4]
	first.Wants(201, "*", "POST", harness.SetOne, `{"first":"1","changed":"before"}`)
	last.Wants(201, "*", "POST", harness.SetOne, `{"last":"2"}`)
	last.Sees("/?text=first", "1")
	first.Sees("/?text=last", "2")
	last.Wants(204, "", "PATCH", harness.SetOne, `{"changed":"after"}`)
	first.Wants(204, "", "PATCH", harness.SetOne, `{"first":null}`)
	first.Sees("/?text=changed", "after")
	last.Sees("/?text=first", "")
	h.Network.Heal()
	h.Joined(5)
	h.Alike()
}
