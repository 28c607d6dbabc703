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

// slowly is a node with StrictLimit whose limit is 30 requests, and one more per minute; strict or not. Its lease is
// long, so that no node loses it for want of CPU.
func slowly(strict string) string {
	return strings.NewReplacer("rate=200r/s sync strict", "rate=1r/m sync "+strict, "burst=99", "burst=29").
		Replace(harness.StrictLimit("zone_sync_strict_lease 2s;"))
}

// counted is how many requests of each path passed at all nodes.
type counted struct {
	*harness.Cluster
	passed map[string]int
	began  time.Time
}

// flood asks for paths at each node, which all know of the result before the next one is asked.
func (c *counted) flood(paths []string, count int, nodes ...*harness.Node) {
	c.T.Helper()
	for _, path := range paths {
		for _, n := range nodes {
			got, err := n.Pipeline(path, count)
			if c.passed[path] += got[200]; err != nil {
				c.T.Errorf("%s: %v", n.Name, err)
			}
			c.Acknowledged()
		}
	}
}

// within checks that no more passed than so many, and one for each minute.
func (c *counted) within(when string, most int) {
	c.T.Helper()
	for path, passed := range c.passed {
		if most := most + int(time.Since(c.began).Minutes()); passed > most {
			c.T.Errorf("%s: %d requests for %s passed, of %d", when, passed, path, most)
		}
	}
}

// reload makes the limit strict, or no longer strict, on all nodes.
func (c *counted) reload(strict string) {
	c.T.Helper()
	c.ConfigureAll(slowly(strict))
	for _, n := range c.Nodes {
		n.Signal(syscall.SIGHUP)
	}
	if strict != "" {
		decide(c.Nodes, len(c.Nodes))
		return
	}
	for _, n := range c.Nodes {
		testkit.Eventually(c.T, time.Minute, func() error {
			z, err := n.Strict()
			if err == nil && z.State+z.Reason != "" {
				err = fmt.Errorf("%s: %+v", n.Name, z)
			}
			return err
		})
	}
	c.Acknowledged()
}

// TestCountsOutliveStrict: a reload that makes a limit strict, or no longer strict, gives no client its burst again,
// whatever the length of its key.
func TestCountsOutliveStrict(t *testing.T) {
	const limit = 30
	c := &counted{harness.NewCluster(t, 3), map[string]int{}, time.Now()}
	c.Start(slowly(""))
	c.Joined(3)
	long := strings.Repeat("a", 100)
	before, later := []string{"/limited?try=a", "/limited?try=" + long}, []string{"/limited?try=b", "/limited?try=b" + long}
	c.flood(before, limit/2, c.Nodes[0])
	c.reload("strict")
	c.flood(before, limit, c.Nodes...)
	c.flood(later, limit, c.Nodes...)
	c.within("strict", limit+1)
	c.reload("")
	c.flood(later, limit, c.Nodes...)
	c.within("no longer strict", limit+1)
	c.reload("strict")
	c.flood(later, limit, c.Nodes...)
	c.within("strict again", limit+1)
}

// TestStrictLimitsOfANodeWithAnotherLease: it is no member until it has that of the others.
func TestStrictLimitsOfANodeWithAnotherLease(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.ConfigureAll(harness.StrictLimit("zone_sync_strict_lease 300ms;"))
	other := cl.Nodes[2]
	other.Configure(harness.StrictLimit(""))
	for _, n := range cl.Nodes {
		n.Start()
	}
	decide(cl.Nodes[:2], 2)
	if got, err := other.Pipeline("/limited", 20); err != nil || got[429] != 20 {
		t.Errorf("statuses of the node with another lease: %v, %v", got, err)
	}
	other.Configure(harness.StrictLimit("zone_sync_strict_lease 300ms;"))
	other.Signal(syscall.SIGHUP)
	decide(cl.Nodes, 3)
	neverAbove(cl, "/limited")
}

// TestAStrictNodeThatIsNotInItsList is told at each start and reload, and, if it turns out to be so, in the log. A reload
// with the right list mends it.
func TestAStrictNodeThatIsNotInItsList(t *testing.T) {
	cl := harness.NewCluster(t, 1)
	n := cl.Nodes[0]
	right := harness.StrictLimit("")
	wrong := strings.Replace(right, "{{range .Others}}zone_sync_server {{.}}:9000; {{end}}", "zone_sync_server {{.Net}}.9:9000;", 1)
	advice := "no zone_sync_server leads to this node, which listens on " + n.IP + ":9000: "
	found := "none of the addresses in the list of zone_sync_server leads to this node: " + n.Net() + ".9:9000; "
	n.Configure(wrong)
	n.Start()
	n.WaitLog(advice)
	n.WaitLog(found)
	n.Wants(429, "*", "GET", "/limited", "", "Host", "all")
	n.Configure(right)
	n.Signal(syscall.SIGHUP)
	n.Decides(1)
	for text, times := range map[string]int{advice: 1, found: 1} {
		if got := strings.Count(n.Log(), text); got != times {
			t.Errorf("the log has %q %d times", text, got)
		}
	}
	n.Configure(wrong)
	n.Signal(syscall.SIGHUP)
	testkit.Eventually(t, harness.Patience, func() error {
		if advised, said := strings.Count(n.Log(), advice), strings.Count(n.Log(), found); advised != 2 || said != 2 {
			return fmt.Errorf("the log has the advice %d times, and the line about the list %d times", advised, said)
		}
		return nil
	})
}
