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

// TestTwoStrictMembersNeedEachOther: of two members, either one's crash stops strict keys. Each says so when it starts.
func TestTwoStrictMembersNeedEachOther(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	cl.Start(harness.StrictLimit(""))
	decide(cl.Nodes, 2)
	for _, n := range cl.Nodes {
		n.WaitLog(`rejects all requests when either of the two members of zone_sync is down: only a third one makes a majority without it`)
	}
	left, gone := cl.Nodes[0], cl.Nodes[1]
	left.Passes("/limited")
	gone.Kill()
	left.WaitLog(`strict limits: zone "req" rejects requests: this node does not reach the majority of the members`)
	got, err := left.Pipeline("/limited", 20)
	if err != nil || got[429] != 20 {
		t.Errorf("statuses of the node that is left: %v, %v", got, err)
	}
	gone.Start()
	decide(cl.Nodes, 2)
	left.Passes("/limited")
}
