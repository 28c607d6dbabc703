package nodes

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

const (
	strictRate  = 200
	strictBurst = 99
)

// strictly is a node with a strict limit on a key that all clients share; ?try= begins another one.
var strictly = fmt.Sprintf(`http { limit_req_zone $server_name$arg_try zone=req:1M rate=%dr/s sync strict;
	server { listen {{.IP}}:8080; server_name all; limit_req_status 429; keepalive_requests 1000000;
		location = /limited { limit_req zone=req burst=%d nodelay; error_page 404 = @ok; }
		location @ok { return 200 ok; }
		location /api { api; } } }
	stream { server { listen {{.IP}}:9000; zone_sync; zone_sync_strict_state strict.state;
	{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`, strictRate, strictBurst)

// strictZone is what the API says of the zone.
type strictZone struct {
	Strict struct {
		State, Reason string
		View          uint64
		Members       []string
		NoLease       uint64 `json:"no_lease"`
		Keys          []struct {
			Key      string
			Capacity int64
			Holders  map[string]int64
		}
	}
}

func showStrict(n *harness.Node) (z strictZone, err error) {
	reply, err := n.Do("GET", "/api/9/starling/http/limit_reqs/req", "")
	if err == nil {
		err = json.Unmarshal([]byte(reply.Body), &z)
	}
	return z, err
}

// decide waits until nodes decide, as members of one view with so many.
func decide(t *testing.T, nodes []*harness.Node, members int) {
	t.Helper()
	for _, n := range nodes {
		testkit.Eventually(t, time.Minute, func() error {
			z, err := showStrict(n)
			if err == nil && (z.Strict.State != "member" || len(z.Strict.Members) != members) {
				err = fmt.Errorf("%s: %+v", n.Name, z.Strict)
			}
			return err
		})
	}
}

// neverAbove floods a key and checks that no more passed than one node would let pass in that time.
// Afterwards, requests still pass.
func neverAbove(t *testing.T, c *harness.Cluster, path string) {
	t.Helper()
	passed, took := flood(c, path, 2*time.Second)
	allowed := strictBurst + 1 + took.Seconds()*strictRate
	t.Logf("%d passed in %v where %.0f are allowed", passed, took, allowed)
	if float64(passed) > allowed {
		t.Errorf("%d requests passed in %v, %.0f are allowed", passed, took, allowed)
	}
	testkit.Eventually(t, time.Minute, func() error {
		got, err := c.Nodes[0].Pipeline(path, 1)
		if err == nil && got[200] == 0 {
			err = fmt.Errorf("statuses %v", got)
		}
		return err
	})
}

// TestStrictLimits: three nodes together never let more pass than one node would, and one may crash.
func TestStrictLimits(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(strictly)
	decide(t, cl.Nodes, 3)
	neverAbove(t, cl, "/limited")

	testkit.Eventually(t, time.Minute, func() error {
		for _, n := range cl.Nodes {
			if got, err := n.Pipeline("/limited", 5); err != nil {
				return fmt.Errorf("%v: %w", got, err)
			}
		}
		for _, n := range cl.Nodes {
			z, err := showStrict(n)
			if err != nil {
				return err
			}
			for _, key := range z.Strict.Keys {
				if len(key.Holders) > 0 {
					return nil
				}
			}
		}
		return fmt.Errorf("no node shows who holds what")
	})
	gone := cl.Nodes[2]
	gone.Kill()
	all := cl.Nodes
	cl.Nodes = all[:2]
	neverAbove(t, cl, "/limited")
	decide(t, cl.Nodes, 2)
	neverAbove(t, cl, "/limited?try=2")

	cl.Nodes = all
	gone.Start()
	decide(t, cl.Nodes, 3)
	neverAbove(t, cl, "/limited")
}

// TestStrictLimitsRefuseWithoutAMajority: a node alone of three lets nothing pass, and says why.
func TestStrictLimitsRefuseWithoutAMajority(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(strictly)
	decide(t, cl.Nodes, 3)
	alone := cl.Nodes[0]
	for _, n := range cl.Nodes[1:] {
		n.Kill()
	}
	testkit.Eventually(t, time.Minute, func() error {
		reply, err := alone.Do("GET", "/limited", "", "Host", "all")
		if err != nil {
			return err
		}
		z, err := showStrict(alone)
		if err == nil && (z.Strict.NoLease == 0 || z.Strict.State != "waiting") {
			err = fmt.Errorf("%d, %+v", reply.Status, z.Strict)
		}
		return err
	})
	got, err := alone.Pipeline("/limited?try=2", 20)
	if err != nil || got[429] != 20 {
		t.Errorf("statuses of a node alone: %v, %v", got, err)
	}
	alone.WaitLog(`limiting requests by strict zone "req": this node does not reach the majority of the members`)
}
