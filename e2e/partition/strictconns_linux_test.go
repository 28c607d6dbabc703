package partition

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// strictRequests is heldRequests with a limit of six that is never exceeded.
var strictRequests = strings.NewReplacer(
	"sync;\n", "sync strict;\n", "requests 100", "requests 6", "zone_sync_timeout 1s",
	"zone_sync_timeout 2s; zone_sync_strict_state strict.state",
).Replace(heldRequests)

// decideOnRequests waits until nodes decide, in a view of so many members.
func decideOnRequests(nodes []*harness.Node, members int) {
	for _, n := range nodes {
		n.DecidesOnConns("http", "requests", members)
	}
}

// beginUntil begins requests at a node, many of which can be rejected, until it has so many. It returns when it had them.
func beginUntil(n *harness.Node, count int, begin func()) (at time.Time) {
	n.T.Helper()
	testkit.Eventually(n.T, harness.Patience, func() error {
		begin()
		z, err := n.StrictConns("http", "requests")
		if err == nil && (len(z.Keys) != 1 || z.Keys[0].Connections != count) {
			return fmt.Errorf("%s: %+v", n.Name, z)
		}
		at = time.Now()
		return err
	})
	return at
}

// TestAPartitionEndsStrictConnections: a node without a majority ends what it has, and rejects what comes. Only then
// the others have its places. When the network is whole again, it takes part again.
func TestAPartitionEndsStrictConnections(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	h.Start(strictRequests)
	decideOnRequests(h.Nodes, 3)
	alone, others := h.Nodes[0], h.Nodes[1:]
	var held []net.Conn
	for i, n := range h.Nodes {
		held = append(held, n.HoldRequest(), n.HoldRequest())
		countsRequests(n, 2*i+2, 2)
	}
	ended := make(chan time.Time, 2)
	for _, conn := range held[:2] {
		go func() { ended <- harness.ClosedAt(conn) }()
	}
	for _, n := range h.Nodes {
		n.Wants(503, "*", "POST", "/hang", "", "Host", "all")
	}
	h.Network.Partition(h.HostsOf(h.Nodes[:1]), h.HostsOf(others))
	admitted := beginUntil(others[0], 4, func() { others[0].HoldRequest() })
	for range 2 {
		at := <-ended
		t.Logf("ended %v before the others had the places", admitted.Sub(at))
		if at.After(admitted) {
			t.Errorf("a connection of the node without a majority ended %v too late", at.Sub(admitted))
		}
	}
	others[1].Wants(503, "*", "POST", "/hang", "", "Host", "all")
	alone.Wants(503, "*", "POST", "/hang", "", "Host", "all")
	alone.WaitLog("ended 2 connections")
	alone.WaitLog(`limiting connections by strict zone "requests": this node does not reach the majority of the members`)
	h.Network.Heal()
	decideOnRequests(h.Nodes, 3)
	alone.Wants(503, "*", "POST", "/hang", "", "Host", "all")
	held[2].Close()
	countsRequests(others[0], 5, 3)
	beginUntil(alone, 1, func() { alone.HoldRequest() }) // a key that had no place stays refused for a moment
	countsRequests(alone, 6, 1)
}
