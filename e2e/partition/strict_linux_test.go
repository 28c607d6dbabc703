package partition

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/e2e/lan"
	"starling/lib/testkit"
)

// decide waits until nodes decide in a view of so many members.
func decide(nodes []*harness.Node, members int) {
	for _, n := range nodes {
		n.Decides(members)
	}
}

// neverAbove floods all nodes at once, while something happens to the network, and checks that no more passed than one
// node would let pass. It returns how many passed at each node.
func neverAbove(t *testing.T, nodes []*harness.Node, d time.Duration, meanwhile func()) (each []int64) {
	t.Helper()
	var took time.Duration
	var all sync.WaitGroup
	all.Go(func() { each, took = harness.Flood(t, nodes, "/limited", 1, d) })
	meanwhile()
	all.Wait()
	t.Logf("passed at each node: %v", each)
	harness.WithinStrict(t, harness.Sum(each), took)
	return each
}

// TestStrictLimitsInAPartition: the part without a majority lets nothing pass soon, the other takes over, and all
// together never exceed the limit, while the network falls apart and when it is whole again.
func TestStrictLimitsInAPartition(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	h.Start(harness.StrictLimit("zone_sync_timeout 1s;"))
	decide(h.Nodes, 3)
	neverAbove(t, h.Nodes, 3*time.Second, func() {
		h.Network.Partition(h.HostsOf(h.Nodes[:1]), h.HostsOf(h.Nodes[1:]))
	})
	decide(h.Nodes[1:], 2)
	each := neverAbove(t, h.Nodes, 2*time.Second, func() {})
	if each[0] != 0 {
		t.Errorf("%d passed at the node without a majority", each[0])
	}
	h.Nodes[1].Passes("/limited")
	neverAbove(t, h.Nodes, 3*time.Second, h.Network.Heal)
	decide(h.Nodes, 3)
	neverAbove(t, h.Nodes, 2*time.Second, func() {})
	h.Nodes[0].Passes("/limited")
}

// TestStrictLimitsOfACutPair: two nodes that do not reach each other move pieces over the third: of each key, one gets
// nearly all of the burst, also where the other one owns it.
func TestStrictLimitsOfACutPair(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	h.Start(harness.StrictLimit(""))
	decide(h.Nodes, 3)
	h.Network.Set(h.At(h.Nodes[0]), h.At(h.Nodes[1]), lan.Trouble{Cut: true})
	const burst, keys = 80, 6 // more than the 16 of a default piece
	for i, n := range h.Nodes[:2] {
		for key := i * keys; key < (i+1)*keys; key++ {
			var last time.Time
			testkit.Eventually(t, harness.Patience, func() error {
				if time.Since(last) < time.Second {
					return fmt.Errorf("%s: the bucket of key %d drains", n.Name, key)
				}
				last = time.Now()
				got, err := n.Pipeline(fmt.Sprintf("/limited?try=%d", key), burst)
				if err == nil && got[200] < burst/2 {
					err = fmt.Errorf("%s: statuses %v", n.Name, got)
				}
				return err
			})
		}
	}
	neverAbove(t, h.Nodes, 2*time.Second, func() {})
	decide(h.Nodes, 3)
}
