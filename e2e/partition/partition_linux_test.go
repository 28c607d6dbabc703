package partition

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/e2e/lan"
)

// TestAPartitionHeals: both sides are written to while they do not see each other, and then hold the same.
func TestAPartitionHeals(t *testing.T) {
	cut, settings := 5*time.Second, "zone_sync_timeout 2s;"
	if harness.Long() {
		cut, settings = 30*time.Second, "" // nginx's timeout of 5 s
	}
	h := harness.NewHosts(t, 3)
	h.Start(strings.Replace(harness.ShareOne, "EXTRA", settings, 1))
	left, right := h.Nodes[:2], h.Nodes[2:]
	left[0].MakeShared()
	h.Acknowledged()

	const rate = 10_000
	writers := []*harness.Writer{{To: left[0], Name: "left", PerSecond: rate}, {To: right[0], Name: "right", PerSecond: rate}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() {
			if err := w.Run(ctx); err != nil {
				t.Errorf("writer %s: %v", w.Name, err)
			}
		})
	}
	h.Joined(3)
	h.Network.Partition(h.HostsOf(left), h.HostsOf(right))
	began := time.Now()
	before := writers[0].Acknowledged() + writers[1].Acknowledged()
	await(t, cut)
	for _, n := range right {
		h.Online(n, 0)
	}
	took := time.Since(began)
	wrote := writers[0].Acknowledged() + writers[1].Acknowledged() - before
	stop()
	wg.Wait()
	h.Network.Heal()
	healed := time.Now()
	h.Joined(3)
	joined := time.Now()
	pairs, alike := h.Alike()
	for _, w := range writers {
		w.Check(t, pairs)
	}
	h.SaysAgreed(3, healed)
	shown := time.Now()
	name := "partition"
	if !harness.Long() {
		name = "short-partition"
	}
	h.Record(name, map[string]float64{
		"partition_s": took.Seconds(), "writes_per_s_and_side": float64(wrote) / 2 / took.Seconds(), "pairs": float64(len(pairs)),
		"reconnect_ms": harness.Milliseconds(joined.Sub(healed)), "alike_after_reconnect_ms": harness.Milliseconds(max(0, alike.Sub(joined))),
		"shown_as_agreeing_after_reconnect_ms": harness.Milliseconds(shown.Sub(joined)),
	})
}

// TestALossyAndSlowNetworkDelaysOnly: packets are lost and late between all hosts.
func TestALossyAndSlowNetworkDelaysOnly(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	for i, a := range h.Nodes {
		for _, b := range h.Nodes[:i] {
			h.Network.Set(h.At(a), h.At(b), lan.Trouble{Delay: 20 * time.Millisecond, Loss: 0.02})
		}
	}
	h.Start(strings.Replace(harness.ShareOne, "EXTRA", "", 1))
	h.Nodes[0].MakeShared()
	h.Acknowledged()
	writers, wrote := h.WriteEverywhere(1000, 2*time.Second)
	stopped := time.Now()
	pairs, alike := h.Alike()
	for _, w := range writers {
		w.Check(t, pairs)
	}
	for _, n := range h.Nodes {
		if log := n.Log(); strings.Contains(log, ") lost: ") {
			t.Errorf("%s lost a peer though all could be reached:\n%s", n.Name, log)
		}
	}
	t.Logf(
		"%d writes over 3 hosts with 20 ms of delay and 2 %% of loss each way; alike %.0f ms after the last",
		wrote,
		harness.Milliseconds(alike.Sub(stopped)),
	)
}

// await lets a time pass in which others work.
func await(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// TestRepairCrossesABrokenLink: two nodes that do not reach each other get each other's writes by comparing with a
// third.
func TestRepairCrossesABrokenLink(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	h.Start(strings.Replace(harness.ShareOne, "EXTRA", "zone_sync_timeout 1s;", 1))
	h.Nodes[0].MakeShared()
	h.Acknowledged()
	a, c := h.Nodes[0], h.Nodes[2]
	h.Network.Set(h.At(a), h.At(c), lan.Trouble{Cut: true})
	h.Online(a, 1)
	h.Online(c, 1)
	writers, _ := h.WriteEverywhere(1000, 2*time.Second)
	stopped := time.Now()
	pairs, alike := h.Alike()
	for _, w := range writers {
		w.Check(t, pairs)
	}
	t.Logf("alike %.0f ms after the last write, over the node between", harness.Milliseconds(alike.Sub(stopped)))
	h.Network.Heal()
	h.Joined(3)
	h.SaysAgreed(3, time.Now())
}

// TestALinkThatCarriesOneWayOnly counts as none, and heals.
func TestALinkThatCarriesOneWayOnly(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 2)
	h.Start(strings.Replace(harness.ShareOne, "EXTRA", "zone_sync_timeout 1s;", 1))
	h.Nodes[0].MakeShared()
	h.Acknowledged()
	h.Network.SetOneWay(h.At(h.Nodes[0]), h.At(h.Nodes[1]), lan.Trouble{Cut: true})
	for _, n := range h.Nodes {
		h.Online(n, 0)
	}
	writers, _ := h.WriteEverywhere(1000, 500*time.Millisecond)
	h.Network.Heal()
	h.Joined(2)
	pairs, _ := h.Alike()
	for _, w := range writers {
		w.Check(t, pairs)
	}
}
