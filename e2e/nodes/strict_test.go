package nodes

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// decide waits until nodes decide, as members of one view with so many.
func decide(nodes []*harness.Node, members int) {
	for _, n := range nodes {
		n.Decides(members)
	}
}

// neverAbove floods a key and checks that no more passed than one node would let pass in that time.
// Afterwards, requests still pass.
func neverAbove(c *harness.Cluster, path string) {
	c.T.Helper()
	passed, took := flood(c, path, 2*time.Second)
	harness.WithinStrict(c.T, passed, took)
	c.Nodes[0].Passes(path)
}

// TestStrictLimits: three nodes together never let more pass than one node would, and one may crash.
func TestStrictLimits(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(harness.StrictLimit(""))
	decide(cl.Nodes, 3)
	neverAbove(cl, "/limited")

	testkit.Eventually(t, time.Minute, func() error {
		for _, n := range cl.Nodes {
			if got, err := n.Pipeline("/limited", 5); err != nil {
				return fmt.Errorf("%v: %w", got, err)
			}
		}
		for _, n := range cl.Nodes {
			z, err := n.Strict()
			if err != nil {
				return err
			}
			for _, key := range z.Keys {
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
	neverAbove(cl, "/limited")
	decide(cl.Nodes, 2)
	neverAbove(cl, "/limited?try=2")

	cl.Nodes = all
	gone.Start()
	decide(cl.Nodes, 3)
	neverAbove(cl, "/limited")
}

// TestStrictLimitsRefuseWithoutAMajority: a node alone of three lets nothing pass, and says why.
func TestStrictLimitsRefuseWithoutAMajority(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(harness.StrictLimit(""))
	decide(cl.Nodes, 3)
	alone := cl.Nodes[0]
	for _, n := range cl.Nodes[1:] {
		n.Kill()
	}
	testkit.Eventually(t, time.Minute, func() error {
		reply, err := alone.Do("GET", "/limited", "", "Host", "all")
		if err != nil {
			return err
		}
		z, err := alone.Strict()
		if err == nil && (z.NoLease == 0 || z.State != "waiting") {
			err = fmt.Errorf("%d, %+v", reply.Status, z)
		}
		return err
	})
	got, err := alone.Pipeline("/limited?try=2", 20)
	if err != nil || got[429] != 20 {
		t.Errorf("statuses of a node alone: %v, %v", got, err)
	}
	alone.WaitLog(`limiting requests by strict zone "req": this node does not reach the majority of the members`)
}

// TestStrictLimitsChangeFromNodeToNode: nodes are reloaded with another rate, one after the other. As soon as two have
// it, they decide, whichever node the register of views follows: each is the last one once.
func TestStrictLimitsChangeFromNodeToNode(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(harness.StrictLimit(""))
	decide(cl.Nodes, 3)
	for last := range cl.Nodes {
		rate := fmt.Sprintf("rate=%dr/s", 190-last)
		config := strings.Replace(harness.StrictLimit(""), "rate=200r/s", rate, 1)
		for i := range cl.Nodes {
			n := cl.Nodes[(last+1+i)%3]
			n.Configure(config)
			n.Signal(syscall.SIGHUP)
			if i == 1 {
				for j := range 2 {
					cl.Nodes[(last+1+j)%3].Decides(2)
				}
			}
		}
		decide(cl.Nodes, 3)
		neverAbove(cl, fmt.Sprintf("/limited?try=%d", last))
	}
}
