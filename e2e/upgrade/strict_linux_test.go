package upgrade

import (
	"testing"
	"time"

	"starling/e2e/harness"
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
	flood()
	c.Nodes[0].Decides(3)
	flood()
	harness.WithinStrict(t, passed, time.Since(began))
	c.Nodes[0].Passes("/limited")
}
