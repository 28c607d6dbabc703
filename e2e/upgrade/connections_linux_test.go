package upgrade

import (
	"net"
	"testing"

	"starling/e2e/harness"
)

// heldRequests count from their head on; one whose body does not come stays in progress.
const heldRequests = `worker_shutdown_timeout 60s;
http {
	limit_conn_zone $server_name zone=requests:1m sync;
	server { listen {{.IP}}:8080; server_name all;
		location = /hang { limit_conn requests 4; limit_conn_status 429; proxy_pass http://{{.IP}}:8080/api; }
		location /api { api write=on; } } }
stream { server { listen {{.IP}}:9000; zone_sync; zone_sync_timeout 1s; {{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`

// countsRequests waits until a node counts so many requests at all nodes, and at itself.
func countsRequests(n *harness.Node, all, here int) {
	n.T.Helper()
	n.CountsConnections("http", "requests", all, here)
}

// TestTheNewProcessCountsTheOldOnesRequests in a shared zone until they end, and so do the other nodes.
func TestTheNewProcessCountsTheOldOnesRequests(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	cl.Start(heldRequests)
	n, other := cl.Nodes[0], cl.Nodes[1]
	var held []net.Conn
	for range 3 {
		held = append(held, n.HoldRequest())
	}
	countsRequests(n, 3, 3)
	old := n.PID()
	if out, err := command(n); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, n.Log())
	}
	if now := n.Inherited(); now == old {
		t.Fatalf("the pid file still has %d", old)
	}
	n.HoldRequest()
	countsRequests(n, 4, 1)
	countsRequests(other, 4, 0)
	for _, node := range cl.Nodes {
		node.Wants(429, "*", "GET", "/hang", "", "Host", "all")
	}
	for _, conn := range held {
		conn.Close()
	}
	ends(n, old)
	countsRequests(n, 1, 1)
	countsRequests(other, 1, 0)
}
