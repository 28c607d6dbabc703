package partition

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

const (
	strictRate  = 200
	strictBurst = 99
)

// strictly is a node with a strict limit on one key.
var strictly = fmt.Sprintf(`http { limit_req_zone $server_name zone=req:1M rate=%dr/s sync strict;
	server { listen {{.IP}}:8080; server_name all; limit_req_status 429; keepalive_requests 1000000;
		location = /limited { limit_req zone=req burst=%d nodelay; error_page 404 = @ok; }
		location @ok { return 200 ok; }
		location /api { api; } } }
	stream { server { listen {{.IP}}:9000; zone_sync; zone_sync_timeout 1s; zone_sync_strict_state strict.state;
	{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`, strictRate, strictBurst)

// decide waits until nodes decide in a view of so many members.
func decide(t *testing.T, nodes []*harness.Node, members int) {
	t.Helper()
	for _, n := range nodes {
		testkit.Eventually(t, time.Minute, func() error {
			var z struct {
				Strict struct {
					State   string
					Members []string
				}
			}
			reply, err := n.Do("GET", "/api/9/starling/http/limit_reqs/req", "")
			if err == nil {
				err = json.Unmarshal([]byte(reply.Body), &z)
			}
			if err == nil && (z.Strict.State != "member" || len(z.Strict.Members) != members) {
				err = fmt.Errorf("%s: %+v", n.Name, z.Strict)
			}
			return err
		})
	}
}

// neverAbove floods all nodes at once, while something happens to the network, and checks that no more passed than one
// node would let pass. It returns how many passed at each node.
func neverAbove(t *testing.T, nodes []*harness.Node, d time.Duration, meanwhile func()) []int64 {
	t.Helper()
	passed := make([]atomic.Int64, len(nodes))
	began := time.Now()
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() {
			for time.Since(began) < d {
				got, err := n.Pipeline("/limited", 50)
				passed[i].Add(int64(got[200]))
				if err != nil {
					t.Errorf("%s: %v", n.Name, err)
					return
				}
			}
		})
	}
	meanwhile()
	all.Wait()
	allowed := strictBurst + 1 + time.Since(began).Seconds()*strictRate
	var each []int64
	total := int64(0)
	for i := range passed {
		each = append(each, passed[i].Load())
		total += passed[i].Load()
	}
	t.Logf("%d passed (%v), %.0f are allowed", total, each, allowed)
	if float64(total) > allowed {
		t.Errorf("%d requests passed, %.0f are allowed", total, allowed)
	}
	return each
}

// TestStrictLimitsInAPartition: the part without a majority lets nothing pass soon, the other takes over, and all
// together never exceed the limit, while the network falls apart and when it is whole again.
func TestStrictLimitsInAPartition(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	h.Start(strictly)
	decide(t, h.Nodes, 3)
	neverAbove(t, h.Nodes, 3*time.Second, func() {
		h.Network.Partition(h.HostsOf(h.Nodes[:1]), h.HostsOf(h.Nodes[1:]))
	})
	decide(t, h.Nodes[1:], 2)
	each := neverAbove(t, h.Nodes, 2*time.Second, func() {})
	if each[0] != 0 {
		t.Errorf("%d passed at the node without a majority", each[0])
	}
	passes(t, h.Nodes[1])
	neverAbove(t, h.Nodes, 3*time.Second, h.Network.Heal)
	decide(t, h.Nodes, 3)
	neverAbove(t, h.Nodes, 2*time.Second, func() {})
	passes(t, h.Nodes[0])
}

// passes waits until a node lets a request pass.
func passes(t *testing.T, n *harness.Node) {
	t.Helper()
	testkit.Eventually(t, time.Minute, func() error {
		got, err := n.Pipeline("/limited", 1)
		if err == nil && got[200] == 0 {
			err = fmt.Errorf("%s: statuses %v", n.Name, got)
		}
		return err
	})
}
