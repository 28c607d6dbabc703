package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/e2e/lan"
	"starling/lib/testkit"
)

// shareOne is a cluster that shares a key-value zone in memory; EXTRA are further lines of the sync server.
const shareOne = `http {
	keyval_zone zone=one:64m sync;
	keyval $arg_text $text zone=one;
	server {
		listen {{.IP}}:8080;
		keepalive_requests 1000000000;
		location / { return 200 $text; }
		location /api { api write=on; }
	}
}
stream { server { listen {{.IP}}:9000; zone_sync; EXTRA
	{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`

// TestAPartitionHeals: both sides are written to while they do not see each other, and then hold the same.
func TestAPartitionHeals(t *testing.T) {
	cut, settings := 5*time.Second, "zone_sync_timeout 2s;"
	if long() {
		cut, settings = 30*time.Second, "" // nginx's timeout of 5 s
	}
	h := newHosts(t, 3)
	h.start(strings.Replace(shareOne, "EXTRA", settings, 1))
	left, right := h.Nodes[:2], h.Nodes[2:]
	left[0].makeShared()
	h.settled()

	const rate = 10_000
	writers := []*writer{{to: left[0], name: "left", perSecond: rate}, {to: right[0], name: "right", perSecond: rate}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() {
			if err := w.run(ctx); err != nil {
				t.Errorf("writer %s: %v", w.name, err)
			}
		})
	}
	h.joined(3)
	h.net.Partition(h.hostsOf(left), h.hostsOf(right))
	began := time.Now()
	before := writers[0].acknowledged() + writers[1].acknowledged()
	await(t, cut)
	for _, n := range right {
		h.online(n, 0)
	}
	took := time.Since(began)
	wrote := writers[0].acknowledged() + writers[1].acknowledged() - before
	stop()
	wg.Wait()
	h.net.Heal()
	healed := time.Now()
	h.joined(3)
	joined := time.Now()
	pairs, alike := h.alike()
	for _, w := range writers {
		w.check(t, pairs)
	}
	h.saysAgreed(3, healed)
	shown := time.Now()
	name := "partition"
	if !long() {
		name = "short-partition"
	}
	h.record(name, map[string]float64{
		"partition_s": took.Seconds(), "writes_per_s_and_side": float64(wrote) / 2 / took.Seconds(), "pairs": float64(len(pairs)),
		"reconnect_ms": ms(joined.Sub(healed)), "alike_after_reconnect_ms": ms(max(0, alike.Sub(joined))),
		"shown_as_agreeing_after_reconnect_ms": ms(shown.Sub(joined)),
	})
}

// TestALossyAndSlowNetworkDelaysOnly: packets are lost and late between all hosts.
func TestALossyAndSlowNetworkDelaysOnly(t *testing.T) {
	t.Parallel()
	h := newHosts(t, 3)
	for i, a := range h.Nodes {
		for _, b := range h.Nodes[:i] {
			h.net.Set(h.at(a), h.at(b), lan.Trouble{Delay: 20 * time.Millisecond, Loss: 0.02})
		}
	}
	h.start(strings.Replace(shareOne, "EXTRA", "", 1))
	h.Nodes[0].makeShared()
	h.settled()
	writers, wrote := h.writeEverywhere(1000, 2*time.Second)
	stopped := time.Now()
	pairs, alike := h.alike()
	for _, w := range writers {
		w.check(t, pairs)
	}
	for _, n := range h.Nodes {
		if log := n.log(); strings.Contains(log, ") lost: ") {
			t.Errorf("%s lost a peer though all could be reached:\n%s", n.Name, log)
		}
	}
	t.Logf("%d writes over 3 hosts with 20 ms of delay and 2 %% of loss each way; alike %.0f ms after the last", wrote, ms(alike.Sub(stopped)))
}

// writeEverywhere writes to every running node for a while, each by a writer of its own.
func (h *hosts) writeEverywhere(perSecond int, d time.Duration) (writers []*writer, wrote int) {
	h.t.Helper()
	ctx, stop := context.WithTimeout(h.t.Context(), d)
	defer stop()
	var wg sync.WaitGroup
	for _, n := range h.Nodes {
		w := &writer{to: n, name: n.Name, perSecond: perSecond}
		writers = append(writers, w)
		wg.Go(func() {
			if err := w.run(ctx); err != nil {
				h.t.Errorf("writer %s: %v", w.name, err)
			}
		})
	}
	wg.Wait()
	for _, w := range writers {
		wrote += w.acknowledged()
	}
	return writers, wrote
}

func (h *hosts) hostsOf(nodes []*node) (out []*lan.Host) {
	for _, n := range nodes {
		out = append(out, h.at(n))
	}
	return out
}

// online waits until a node is connected to count others.
func (h *hosts) online(n *node, count int64) {
	h.t.Helper()
	testkit.Eventually(h.t, patience, func() error {
		s, err := n.status()
		if err == nil && s.Status.NodesOnline != count {
			err = fmt.Errorf("%s: nodes_online is %d, want %d", n.Name, s.Status.NodesOnline, count)
		}
		return err
	})
}

// await lets a time pass in which others work.
func await(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// TestRepairCrossesABrokenLink: two nodes that do not reach each other get each other's writes by comparing with a third.
func TestRepairCrossesABrokenLink(t *testing.T) {
	t.Parallel()
	h := newHosts(t, 3)
	h.start(strings.Replace(shareOne, "EXTRA", "zone_sync_timeout 1s;", 1))
	h.Nodes[0].makeShared()
	h.settled()
	a, c := h.Nodes[0], h.Nodes[2]
	h.net.Set(h.at(a), h.at(c), lan.Trouble{Cut: true})
	h.online(a, 1)
	h.online(c, 1)
	writers, _ := h.writeEverywhere(1000, 2*time.Second)
	stopped := time.Now()
	pairs, alike := h.alike()
	for _, w := range writers {
		w.check(t, pairs)
	}
	t.Logf("alike %.0f ms after the last write, over the node between", ms(alike.Sub(stopped)))
	h.net.Heal()
	h.joined(3)
	h.saysAgreed(3, time.Now())
}

// TestALinkThatCarriesOneWayOnly counts as none, and heals.
func TestALinkThatCarriesOneWayOnly(t *testing.T) {
	t.Parallel()
	h := newHosts(t, 2)
	h.start(strings.Replace(shareOne, "EXTRA", "zone_sync_timeout 1s;", 1))
	h.Nodes[0].makeShared()
	h.settled()
	h.net.SetOneWay(h.at(h.Nodes[0]), h.at(h.Nodes[1]), lan.Trouble{Cut: true})
	for _, n := range h.Nodes {
		h.online(n, 0)
	}
	writers, _ := h.writeEverywhere(1000, 500*time.Millisecond)
	h.net.Heal()
	h.joined(2)
	pairs, _ := h.alike()
	for _, w := range writers {
		w.check(t, pairs)
	}
}
