package nodes

import (
	"testing"
	"time"

	"starling/e2e/harness"
)

// TestStrictLimitsShareWithoutAMajority: with strict_fallback=share, a node alone of three admits a third of the limit,
// says so, and decides with the others again when they are back.
func TestStrictLimitsShareWithoutAMajority(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(harness.StrictShare(""))
	decide(cl.Nodes, 3)
	alone := cl.Nodes[0]
	for _, n := range cl.Nodes[1:] {
		n.Kill()
	}
	alone.FallsBack(true)
	alone.WaitLog(`strict limits: zone "req" admits this node's share of the limit only: this node does not reach the majority of the members`)
	each, took := harness.Flood(t, cl.Nodes[:1], "/limited?try=2", 2, 2*time.Second)
	harness.WithinShare(t, each[0], took, 3)
	alone.Passes("/limited?try=2")
	if z, err := alone.Strict(); err != nil || z.FallbackAdmitted == 0 || z.State != "waiting" {
		t.Errorf("%+v, %v", z, err)
	}
	for _, n := range cl.Nodes[1:] {
		n.Start()
	}
	decide(cl.Nodes, 3)
	alone.FallsBack(false)
	alone.WaitLog(`strict limits: zone "req" decides with the other members again; alone, this node admitted `)
	before := harness.AdmittedAlone(t, cl.Nodes)
	each, took = harness.Flood(t, cl.Nodes, "/limited?try=3", 2, 2*time.Second)
	harness.WithinStrict(t, harness.Sum(each)-(harness.AdmittedAlone(t, cl.Nodes)-before), took)
}
