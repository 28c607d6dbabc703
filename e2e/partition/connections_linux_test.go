package partition

import (
	"testing"

	"starling/e2e/harness"
)

// heldRequests count from their head on; one whose body does not come stays in progress.
const heldRequests = `http {
	limit_conn_zone $server_name zone=requests:1m sync;
	server { listen {{.IP}}:8080; server_name all;
		location = /hang { limit_conn requests 100; proxy_pass http://{{.IP}}:8080/api; }
		location /api { api write=on; } } }
stream { server { listen {{.IP}}:9000; zone_sync; zone_sync_timeout 1s;
	{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`

// holdRequests starts so many requests at a node that stay in progress.
func holdRequests(n *harness.Node, count int) {
	n.T.Helper()
	for range count {
		n.HoldRequest()
	}
}

// countsRequests waits until a node counts so many requests at all nodes, and at itself.
func countsRequests(n *harness.Node, all, here int) {
	n.T.Helper()
	n.CountsConnections("http", "requests", all, here)
}

// TestAPartitionGivesConnectionsBack: each side counts its own, also those that come meanwhile, and all when they meet
// again.
func TestAPartitionGivesConnectionsBack(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	h.Start(heldRequests)
	left, right := h.Nodes[:2], h.Nodes[2:]
	for _, n := range h.Nodes {
		holdRequests(n, 2)
	}
	for _, n := range h.Nodes {
		countsRequests(n, 6, 2)
	}
	h.Network.Partition(h.HostsOf(left), h.HostsOf(right))
	for _, n := range left {
		countsRequests(n, 4, 2)
	}
	countsRequests(right[0], 2, 2)
	holdRequests(right[0], 3)
	countsRequests(right[0], 5, 5)
	countsRequests(left[0], 4, 2)
	h.Network.Heal()
	h.Joined(3)
	for i, n := range h.Nodes {
		countsRequests(n, 9, []int{2, 2, 5}[i])
	}
}
