package e2e

import (
	"strings"
	"testing"
	"time"

	"starling/e2e/lan"
)

// Five hosts show what three cannot: parts without a majority, and ways over several hosts.

// TestTwoTwoAndOne: a cluster falls into three parts, each is written to, and none is the larger one that would be right.
func TestTwoTwoAndOne(t *testing.T) {
	t.Parallel()
	h := newHosts(t, 5)
	h.start(strings.Replace(shareOne, "EXTRA", "zone_sync_timeout 1s;", 1))
	h.Nodes[0].makeShared()
	h.settled()
	parts := [][]*node{h.Nodes[:2], h.Nodes[2:4], h.Nodes[4:]}
	h.net.Partition(h.hostsOf(parts[0]), h.hostsOf(parts[1]), h.hostsOf(parts[2]))
	for _, part := range parts {
		for _, n := range part {
			h.online(n, int64(len(part)-1))
		}
	}
	writers, wrote := h.writeEverywhere(300, time.Second)
	h.net.Heal()
	healed := time.Now()
	h.joined(5)
	pairs, alike := h.alike()
	for _, w := range writers {
		w.check(t, pairs)
	}
	h.saysAgreed(5, healed)
	h.record("two-two-and-one", map[string]float64{
		"writes": float64(wrote), "alike_after_healing_ms": ms(alike.Sub(healed)), "shown_as_agreeing_after_healing_ms": ms(time.Since(healed)),
	})
}

// TestFiveHostsInALine: each host reaches its neighbours only, though all are members of all. Nothing is passed on by those between,
// so what the ends write travels by comparing, from one to the next.
func TestFiveHostsInALine(t *testing.T) {
	t.Parallel()
	h := newHosts(t, 5)
	for i, a := range h.Nodes {
		for k, b := range h.Nodes {
			if k > i+1 {
				h.net.Set(h.at(a), h.at(b), lan.Trouble{Cut: true})
			}
		}
	}
	h.configureAll(strings.Replace(shareOne, "EXTRA", "zone_sync_timeout 1s;", 1))
	for _, n := range h.Nodes {
		n.start()
	}
	for i, n := range h.Nodes {
		neighbours := int64(2)
		if i == 0 || i == len(h.Nodes)-1 {
			neighbours = 1
		}
		h.online(n, neighbours)
	}
	first, last := h.Nodes[0], h.Nodes[4]
	first.wants(201, "*", "POST", setOne, `{"first":"1","changed":"before"}`)
	last.wants(201, "*", "POST", setOne, `{"last":"2"}`)
	last.sees("/?text=first", "1")
	first.sees("/?text=last", "2")
	last.wants(204, "", "PATCH", setOne, `{"changed":"after"}`)
	first.wants(204, "", "PATCH", setOne, `{"first":null}`)
	first.sees("/?text=changed", "after")
	last.sees("/?text=first", "")
	h.net.Heal()
	h.joined(5)
	h.alike()
}
