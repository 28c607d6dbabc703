package crash

import (
	"os"
	"strings"
	"testing"
	"time"

	"starling/e2e/harness"
)

// strictConns is one of five nodes with a limit of ten requests in progress that is never exceeded. The first has its
// part of the register on a disk of its own.
const strictConns = `http {
	limit_conn_zone $server_name zone=requests:1m sync strictFALLBACK;
	server { listen {{.IP}}:8080; server_name all;
		location = /hang { limit_conn requests 10; limit_conn_status 429; proxy_pass http://{{.IP}}:8080/api; }
		location /api { api write=on; } } }
stream { server { listen {{.IP}}:9000; zone_sync; zone_sync_timeout 2s; zone_sync_strict_state {{.Dir}}/disk/strict.state;
	{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`

// TestStrictConnectionsOnAFullDisk: a node that cannot write its part of the register when the members change ends its
// connections, except its share with strict_fallback=share, before the others use their places. When there is room again,
// it takes part.
func TestStrictConnectionsOnAFullDisk(t *testing.T) {
	for fallback, keeps := range map[string]int{"": 0, " strict_fallback=share": 2} {
		t.Run(strings.TrimSpace("strict"+fallback), func(t *testing.T) {
			cl := harness.NewCluster(t, 5)
			first, others, last := cl.Nodes[0], cl.Nodes[1:4], cl.Nodes[4]
			disk := smallDisk(first, "disk", 64)
			for _, n := range cl.Nodes[1:] {
				if err := os.Mkdir(n.Dir+"/disk", 0o700); err != nil {
					t.Fatal(err)
				}
			}
			cl.Start(strings.Replace(strictConns, "FALLBACK", fallback, 1))
			decide := func(nodes []*harness.Node, members int) {
				t.Helper()
				for _, n := range nodes {
					n.DecidesOnConns("http", "requests", members)
				}
			}
			decide(cl.Nodes, 5)
			ended := make(chan time.Time, 3)
			for _, held := range first.HoldStrict("http", "requests", 3) {
				go func() { ended <- <-held.Ended }()
			}
			for i, n := range cl.Nodes[1:] {
				n.HoldStrict("http", "requests", []int{1, 2, 2, 2}[i])
			}
			for _, n := range cl.Nodes {
				n.Wants(429, "*", "POST", "/hang", "", "Host", "all")
			}

			full := fill(t, disk)
			last.Kill()
			first.WaitLog("No space left on device); strict zones admit nothing")
			decide(others, 3)
			others[0].HoldStrict("http", "requests", 2+3) // what the other two had; a share comes on top
			admitted := time.Now()
			for range 3 - keeps {
				if at := <-ended; at.After(admitted) {
					t.Errorf("a connection of the node with a full disk ended %v too late", at.Sub(admitted))
				}
			}
			for _, n := range cl.Nodes[:4] {
				n.Wants(429, "*", "POST", "/hang", "", "Host", "all")
			}
			z, err := first.StrictConns("http", "requests")
			if err != nil || z.State != "closed" || !strings.Contains(z.Reason, "no space left on device") ||
				z.Ended != uint64(3-keeps) || z.InFallback != (keeps > 0) {
				t.Errorf("%s: %+v, %v", first.Name, z, err)
			}

			if err := os.Remove(full); err != nil {
				t.Fatal(err)
			}
			decide(cl.Nodes[:4], 4)
			last.Start()
			decide(cl.Nodes, 5)
			for _, n := range cl.Nodes {
				n.Wants(429, "*", "POST", "/hang", "", "Host", "all")
			}
			if len(ended) > 0 {
				t.Error("a connection in the share is ended")
			}
		})
	}
}
