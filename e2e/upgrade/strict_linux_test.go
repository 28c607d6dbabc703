package upgrade

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// strictly is a node with a strict limit on one key.
const strictly = `http { limit_req_zone $server_name zone=req:1M rate=200r/s sync strict;
	server { listen {{.IP}}:8080; server_name all; limit_req_status 429; keepalive_requests 1000000;
		location = /limited { limit_req zone=req burst=99 nodelay; error_page 404 = @ok; }
		location @ok { return 200 ok; }
		location /api { api; } } }
	stream { server { listen {{.IP}}:9000; zone_sync; zone_sync_strict_state strict.state;
	{{range .Others}}zone_sync_server {{.}}:9000; {{end}} } }`

// decides waits until a node decides in a view of three.
func decides(n *harness.Node) {
	n.T.Helper()
	testkit.Eventually(n.T, time.Minute, func() error {
		var z struct {
			Strict struct {
				State, Reason string
				Members       []string
			}
		}
		reply, err := n.Do("GET", "/api/9/starling/http/limit_reqs/req", "")
		if err == nil {
			err = json.Unmarshal([]byte(reply.Body), &z)
		}
		if err == nil && (z.Strict.State != "member" || len(z.Strict.Members) != 3) {
			err = fmt.Errorf("%s: %+v", n.Name, z.Strict)
		}
		return err
	})
}

// TestStrictLimitsOverAnUpgrade: the new process takes the seat of the old one, and together with the other nodes they
// never let more pass than one node would.
func TestStrictLimitsOverAnUpgrade(t *testing.T) {
	c := harness.NewCluster(t, 3)
	c.Start(strictly)
	for _, n := range c.Nodes {
		decides(n)
	}
	began := time.Now()
	var passed int64
	flood := func() {
		for _, n := range c.Nodes {
			got, err := n.Pipeline("/limited", 200)
			if err != nil {
				t.Errorf("%s: %v", n.Name, err)
			}
			passed += int64(got[200])
		}
	}
	flood()
	upgrade(c.Nodes[0])
	flood()
	decides(c.Nodes[0])
	flood()
	allowed := 100 + time.Since(began).Seconds()*200
	t.Logf("%d passed in %v, %.0f are allowed", passed, time.Since(began), allowed)
	if float64(passed) > allowed {
		t.Errorf("%d requests passed, %.0f are allowed", passed, allowed)
	}
	testkit.Eventually(t, time.Minute, func() error {
		got, err := c.Nodes[0].Pipeline("/limited", 1)
		if err == nil && got[200] == 0 {
			err = fmt.Errorf("the new process: %v", got)
		}
		return err
	})
}
