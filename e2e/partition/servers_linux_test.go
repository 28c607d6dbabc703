package partition

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
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

const (
	httpServers   = "/api/9/http/upstreams/backend/servers"
	streamServers = "/api/9/stream/upstreams/backend2/servers"
)

// shownServer is a server as the API shows it.
type shownServer struct {
	ID      int    `json:"id"`
	Server  string `json:"server"`
	Weight  int    `json:"weight"`
	Down    bool   `json:"down"`
	Drain   bool   `json:"drain"`
	Changed struct {
		At   string `json:"at"`
		Node string `json:"node"`
	} `json:"changed"`
}

func serversOf(n *harness.Node, path string) (list []shownServer, err error) {
	r, err := n.Do("GET", path, "")
	if err != nil {
		return nil, err
	}
	return list, json.Unmarshal([]byte(r.Body), &list)
}

// changes a server at a node, which has its own ids; without a body, it is removed.
func changes(n *harness.Node, path, server, body string) {
	n.T.Helper()
	list, err := serversOf(n, path)
	i := slices.IndexFunc(list, func(s shownServer) bool { return s.Server == server })
	if err != nil || i < 0 {
		n.T.Fatalf("%s shows %+v, not %s: %v", n.Name, list, server, err)
	}
	method := "PATCH"
	if body == "" {
		method = "DELETE"
	}
	n.Wants(200, "*", method, fmt.Sprintf("%s/%d", path, list[i].ID), body)
}

// show waits until nodes show servers: "101 weight 3 drain, 102".
func show(nodes []*harness.Node, path, want string) {
	var all []string
	for _, n := range nodes {
		testkit.Eventually(n.T, harness.Patience, func() error {
			list, err := serversOf(n, path)
			if err != nil {
				return err
			}
			var lines, full []string
			for _, s := range list {
				text := strings.TrimSuffix(strings.TrimPrefix(s.Server, "10.99.0."), ":9100")
				for word, is := range map[string]bool{fmt.Sprint(" weight ", s.Weight): s.Weight != 1, " down": s.Down, " drain": s.Drain} {
					if is {
						text += word
					}
				}
				lines, full = append(lines, text), append(full, text+s.Changed.At+s.Changed.Node)
			}
			slices.Sort(lines)
			slices.Sort(full)
			if got := strings.Join(lines, ", "); got != want {
				return fmt.Errorf("%s shows %q, want %q", n.Name, got, want)
			}
			if all == nil {
				all = full
			}
			if !slices.Equal(full, all) {
				return fmt.Errorf("%s says who changed what when: %q, another one %q", n.Name, full, all)
			}
			return nil
		})
	}
}

// TestServersOfBothSidesOfAPartition: each side goes on with what it changes. When they meet, changes of different
// servers all count, and of two changes of one the later; all nodes say who made it when. So it is after all are killed.
func TestServersOfBothSidesOfAPartition(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	h.Start(sharedServers)
	a, c := h.Nodes[0], h.Nodes[2]
	left, right := h.Nodes[:2], h.Nodes[2:]
	for _, host := range []string{"101", "102", "103", "104"} {
		a.Wants(201, "*", "POST", httpServers, `{"server":"10.99.0.`+host+`:9100"}`)
	}
	show(h.Nodes, httpServers, "101, 102, 103, 104")
	h.Network.Partition(h.HostsOf(left), h.HostsOf(right))
	changes(a, httpServers, "10.99.0.101:9100", `{"drain":true}`)
	changes(a, httpServers, "10.99.0.102:9100", "")
	changes(a, httpServers, "10.99.0.103:9100", `{"weight":3}`)
	changes(a, streamServers, "10.99.0.101:9100", `{"down":true}`)
	show(left, httpServers, "101 drain, 103 weight 3, 104")
	show(right, httpServers, "101, 102, 103, 104")
	c.Wants(201, "*", "POST", httpServers, `{"server":"10.99.0.105:9100"}`)
	changes(c, httpServers, "10.99.0.104:9100", "")
	changes(c, httpServers, "10.99.0.103:9100", `{"weight":5}`)
	changes(c, streamServers, "10.99.0.102:9100", `{"weight":7}`)
	show(right, httpServers, "101, 102, 103 weight 5, 105")
	h.Network.Heal()
	const met = "101 drain, 103 weight 5, 105"
	show(h.Nodes, httpServers, met)
	show(h.Nodes, streamServers, "101 down, 102 weight 7")
	for _, n := range h.Nodes {
		n.Kill()
	}
	for _, n := range h.Nodes {
		n.Start()
	}
	show(h.Nodes, httpServers, met)
}
