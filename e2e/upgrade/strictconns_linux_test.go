package upgrade

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// strictRequests is heldRequests of three nodes with a limit of four that is never exceeded.
var strictRequests = strings.NewReplacer(
	"sync;\n", "sync strict;\n", "zone_sync_timeout 1s;", "zone_sync_timeout 6s; zone_sync_strict_state strict.state;",
).Replace(heldRequests)

// TestStrictConnectionsOverAnUpgrade: what the old process has goes on for as long as its lease, then it is ended, and
// only then the new process is a member. There are never more than four. The lease is longer than an upgrade takes on a
// busy machine.
func TestStrictConnectionsOverAnUpgrade(t *testing.T) {
	c := harness.NewCluster(t, 3)
	c.Start(strictRequests)
	for _, n := range c.Nodes {
		n.DecidesOnConns("http", "requests", 3)
	}
	n, other := c.Nodes[0], c.Nodes[1]
	ended := make(chan time.Time, 2)
	for range 2 {
		conn := n.HoldRequest()
		go func() { ended <- harness.ClosedAt(conn) }()
	}
	countsRequests(other, 2, 0)
	old := n.PID()
	upgraded := time.Now()
	if out, err := command(n); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, n.Log())
	}
	n.Inherited()
	n.Wants(429, "*", "POST", "/hang", "", "Host", "all") // the new process is no member yet
	if len(ended) > 0 {
		t.Error("the connections of the old process ended at once")
	}
	var admitted time.Time
	var held []net.Conn
	testkit.Eventually(t, harness.Patience, func() error {
		held = append(held, other.HoldRequest())
		z, err := other.StrictConns("http", "requests")
		if err == nil && (len(z.Keys) != 1 || z.Keys[0].Connections < 3) {
			return fmt.Errorf("%s: %+v", other.Name, z)
		}
		admitted = time.Now()
		return err
	})
	for range 2 {
		if at := <-ended; at.After(admitted) {
			t.Errorf("a connection of the old process ended %v too late", at.Sub(admitted))
		}
	}
	t.Logf("the third connection of another node came %v after the upgrade", admitted.Sub(upgraded))
	ends(n, old)
	n.DecidesOnConns("http", "requests", 3)
	for _, conn := range held {
		conn.Close()
	}
	testkit.Eventually(t, harness.Patience, func() error {
		n.HoldRequest()
		z, err := n.StrictConns("http", "requests")
		if err == nil && (len(z.Keys) != 1 || z.Keys[0].Connections == 0) {
			return fmt.Errorf("%s: %+v", n.Name, z)
		}
		return err
	})
}
