package partition

import (
	"testing"

	"starling/e2e/harness"
)

// sharedServers share what the API changes of an upstream of http and of one of stream.
const sharedServers = `http {
	upstream backend { zone backend 256k sync; state {{.Dir}}/servers.conf; }
	server { listen {{.IP}}:8080; location / { proxy_pass http://backend; } location /api { api write=on; } }
}
stream {
	upstream backend2 { zone backend2 256k sync; server 10.99.0.101:9100; server 10.99.0.102:9100; }
	server { listen {{.IP}}:7000; proxy_pass backend2; }
	server { listen {{.IP}}:9000; zone_sync; {{range .Others}}zone_sync_server {{.}}:9000; {{end}} }
}`

// TestServersOfBothSidesOfAPartition: each side goes on with what it changes. When they meet, changes of different
// servers all count, and of two changes of one the later; all nodes say who made it when. So it is after all are killed.
func TestServersOfBothSidesOfAPartition(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	h.Start(sharedServers)
	a, c := h.Nodes[0], h.Nodes[2]
	left, right := h.Nodes[:2], h.Nodes[2:]
	for _, host := range []string{"101", "102", "103", "104"} {
		a.EditServer("http/backend", "POST", host, "")
	}
	harness.ShowServers(t, h.Nodes, "http/backend", "101, 102, 103, 104")
	h.Network.Partition(h.HostsOf(left), h.HostsOf(right))
	a.EditServer("http/backend", "PATCH", "101", `{"drain":true}`)
	a.EditServer("http/backend", "DELETE", "102", "")
	a.EditServer("http/backend", "PATCH", "103", `{"weight":3}`)
	a.EditServer("stream/backend2", "PATCH", "101", `{"down":true}`)
	harness.ShowServers(t, left, "http/backend", "101 drain, 103 weight=3, 104")
	harness.ShowServers(t, right, "http/backend", "101, 102, 103, 104")
	c.EditServer("http/backend", "POST", "105", "")
	c.EditServer("http/backend", "DELETE", "104", "")
	c.EditServer("http/backend", "PATCH", "103", `{"weight":5}`)
	c.EditServer("stream/backend2", "PATCH", "102", `{"weight":7}`)
	harness.ShowServers(t, right, "http/backend", "101, 102, 103 weight=5, 105")
	h.Network.Heal()
	const met = "101 drain, 103 weight=5, 105"
	harness.ShowServers(t, h.Nodes, "http/backend", met)
	harness.ShowServers(t, h.Nodes, "stream/backend2", "101 down, 102 weight=7")
	for _, n := range h.Nodes {
		n.Kill()
	}
	for _, n := range h.Nodes {
		n.Start()
	}
	harness.ShowServers(t, h.Nodes, "http/backend", met)
}
