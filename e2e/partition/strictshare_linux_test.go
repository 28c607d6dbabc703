package partition

import (
	"testing"
	"time"

	"starling/e2e/harness"
)

// TestStrictSharesInAPartition: with strict_fallback=share, the part without a majority goes on with its share; the other
// part stays within the whole limit, and all together do when the network is whole again.
func TestStrictSharesInAPartition(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	h.Start(harness.StrictShare("zone_sync_timeout 1s;"))
	decide(h.Nodes, 3)
	h.Network.Partition(h.HostsOf(h.Nodes[:1]), h.HostsOf(h.Nodes[1:]))
	decide(h.Nodes[1:], 2)
	h.Nodes[0].FallsBack(true)
	before := harness.AdmittedAlone(t, h.Nodes[1:])
	each, took := harness.Flood(t, h.Nodes, "/limited", 1, 2*time.Second)
	harness.WithinShare(t, each[0], took, 3)
	harness.WithinStrict(t, harness.Sum(each[1:])-(harness.AdmittedAlone(t, h.Nodes[1:])-before), took)
	if each[0] == 0 || each[1]+each[2] == 0 {
		t.Errorf("passed at each node: %v", each)
	}
	h.Network.Heal()
	decide(h.Nodes, 3)
	h.Nodes[0].FallsBack(false)
	before = harness.AdmittedAlone(t, h.Nodes)
	each, took = harness.Flood(t, h.Nodes, "/limited?try=2", 1, 2*time.Second)
	harness.WithinStrict(t, harness.Sum(each)-(harness.AdmittedAlone(t, h.Nodes)-before), took)
	h.Nodes[0].Passes("/limited")
}
