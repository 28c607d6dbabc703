package nodes

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// TestAZoneIsRolledOut: a configuration with more zones goes from node to node. The connections stand, no log says that
// anything is wrong, and what is written meanwhile, to the old zone and the new ones, gets everywhere.
func TestAZoneIsRolledOut(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(harness.KeyvalHTTP + harness.Members)
	a := cl.Nodes[0]
	a.Wants(201, "*", "POST", harness.SetOne, `{"before":"0"}`)
	cl.Acknowledged()
	before := map[*harness.Node]int{}
	for _, n := range cl.Nodes {
		before[n] = len(n.Log())
	}
	const two, three = "/api/9/http/keyvals/two", "/api/9/stream/keyvals/three"
	more := strings.Replace(harness.KeyvalHTTP, "server {", "keyval_zone zone=two:64k timeout=1h sync; server {", 1) +
		strings.Replace(harness.Members, "stream {", "stream { keyval_zone zone=three:32k sync;", 1)
	for i, n := range cl.Nodes {
		n.Configure(more)
		n.Signal(syscall.SIGHUP)
		testkit.Eventually(t, harness.Patience, func() error {
			s, err := n.Status()
			if _, is := s.Zones["three"]; err == nil && !is {
				err = fmt.Errorf("%s does not share zone three yet", n.Name)
			}
			return err
		})
		testkit.Eventually(t, harness.Patience, func() error {
			answer, err := n.Do("GET", "/api/9/stream/zone_sync/ready", "")
			if err == nil && answer.Status != 200 {
				err = fmt.Errorf("%s is not ready: %s", n.Name, answer.Body)
			}
			return err
		})
		for k := range i { // it was taught before it said so
			n.Wants(200, fmt.Sprintf(`{"of%d":"2"}`, k), "GET", fmt.Sprintf("%s?key=of%d", two, k), "")
		}
		n.Wants(201, "*", "POST", harness.SetOne, fmt.Sprintf(`{"of%d":"1"}`, i))
		n.Wants(201, "*", "POST", two, fmt.Sprintf(`{"of%d":"2"}`, i))
		n.Wants(201, "*", "POST", three, fmt.Sprintf(`{"of%d":"3"}`, i))
		for k := range i {
			cl.Nodes[k].Sees(fmt.Sprintf("%s?key=of%d", two, i), fmt.Sprintf(`{"of%d":"2"}`, i))
		}
	}
	for _, n := range cl.Nodes {
		n.Sees("/api/9/http/keyvals/one", `{"before":"0","of0":"1","of1":"1","of2":"1"}`)
		n.Sees(two, `{"of0":"2","of1":"2","of2":"2"}`)
		n.Sees(three, `{"of0":"3","of1":"3","of2":"3"}`)
		for line := range strings.Lines(n.Log()[before[n]:]) {
			for _, bad := range []string{"[warn]", "[error]", "lost", "ended", "connected to peer", "accepted peer"} {
				if strings.Contains(line, bad) && !strings.Contains(line, "this node itself") {
					t.Errorf("%s says %s", n.Name, line)
				}
			}
		}
	}
}
