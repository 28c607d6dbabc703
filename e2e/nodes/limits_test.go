package nodes

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"starling/e2e/harness"
)

// limited is an http side with one synced limit on a key that all clients share; ?try= begins another one.
func limited(zone, limit string) string {
	return `http { limit_req_zone $server_name$arg_try zone=req:1M ` + zone + ` sync;
	server { listen {{.IP}}:8080; server_name all;
		location / { limit_req zone=req ` + limit + `; return 200 ok; }
		location = /limited { limit_req zone=req ` + limit + `; error_page 404 = @ok; }
		location @ok { return 200 ok; }
		location /api { api; } } }
	` + harness.Members
}

// TestThreeTimesAThousandIsThreeThousand: one limit over three nodes counts every hit exactly once.
func TestThreeTimesAThousandIsThreeThousand(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(limited("rate=1r/m", "burst=2999 nodelay"))
	var wg sync.WaitGroup
	for _, n := range cl.Nodes {
		wg.Go(func() {
			if got, err := n.Pipeline("/limited", 1000); err != nil || got[200] != 1000 {
				t.Errorf("%s: %v %v", n.Name, got, err)
			}
		})
	}
	wg.Wait()
	cl.Acknowledged()
	for _, n := range cl.Nodes {
		n.Wants(503, "*", "GET", "/limited", "", "Host", "all")
	}
}

// flood sends requests for a path on two connections to each node for d and returns how many passed in all and the time
// it took.
func flood(c *harness.Cluster, path string, d time.Duration) (passed int64, took time.Duration) {
	c.T.Helper()
	each, took := harness.Flood(c.T, c.Nodes, path, 2, d)
	return harness.Sum(each), took
}

// measures floods until what passed is right. A machine that stands still for a tenth of a second spoils a measurement,
// so there are several; a limit that counts wrong fails them all.
func measures(c *harness.Cluster, d time.Duration, check func(passed, seconds float64) error) {
	c.T.Helper()
	const tries = 6
	for try := range tries {
		passed, took := flood(c, fmt.Sprintf("/limited?try=%d", try), d)
		err := check(float64(passed), took.Seconds())
		c.T.Logf("%d passed in %v; %v", passed, took, err)
		if err == nil {
			return
		}
	}
	c.T.Errorf("%d times not what one limit passes", tries)
}

// TestAFloodOnThreeNodesPassesWhatOneLimitPasses: rate x time + burst + 1 in all, within 3 %.
func TestAFloodOnThreeNodesPassesWhatOneLimitPasses(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(limited("rate=20r/s", "burst=20 nodelay"))
	measures(cl, 6*time.Second, func(passed, seconds float64) error {
		if want := 20*seconds + 21; passed < 0.97*want || passed > 1.03*want {
			return fmt.Errorf("want %.0f within 3 %%", want)
		}
		return nil
	})
}

// TestTheSeedsLimitWithoutBurst: 100r/s over three nodes stays within what one node would let through.
func TestTheSeedsLimitWithoutBurst(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(limited("rate=100r/s", ""))
	measures(cl, 3*time.Second, func(passed, seconds float64) error {
		if most := 100*seconds + 1; passed > 1.03*most || passed < most/4 {
			return fmt.Errorf("one node passes at most %.0f", most)
		}
		return nil
	})
}
