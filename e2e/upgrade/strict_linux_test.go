package upgrade

import (
	"fmt"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// TestStrictLimitsOverAnUpgrade: the new process takes the seat of the old one, and together with the other nodes they
// never let more pass than one node would.
func TestStrictLimitsOverAnUpgrade(t *testing.T) {
	c := harness.NewCluster(t, 3)
	c.Start(harness.StrictLimit(""))
	for _, n := range c.Nodes {
		n.Decides(3)
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
	nobodyIsLost(c)
	flood()
	c.Nodes[0].Decides(3)
	flood()
	harness.WithinStrict(t, passed, time.Since(began))
	c.Nodes[0].Passes("/limited")
}

// nobodyIsLost: a process that was replaced is no peer that an operator has to look for.
func nobodyIsLost(c *harness.Cluster) {
	c.T.Helper()
	for _, n := range c.Nodes {
		testkit.Eventually(c.T, harness.Patience, func() error {
			v, err := n.View()
			if err != nil {
				return err
			}
			connected := 0
			for _, p := range v.Peers {
				switch p.State {
				case "connected":
					connected++
				case "replaced":
				default:
					return fmt.Errorf("%s shows a peer that is %s", n.Name, p.State)
				}
			}
			if connected != len(c.Nodes)-1 {
				return fmt.Errorf("%s is connected with %d peers", n.Name, connected)
			}
			return nil
		})
	}
}
