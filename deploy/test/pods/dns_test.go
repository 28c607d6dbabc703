package pods

import (
	"fmt"
	"strings"
	"testing"

	"starling/deploy/test/chart"
	"starling/lib/testkit"
)

// TestDNSThatLags: a new pod whose address is not in DNS yet is not ready, because the others cannot send it what they
// have. They look again when it connects to them, so it is ready soon after its address is there, however long the last
// answer is valid.
func TestDNSThatLags(t *testing.T) {
	c := newCluster(t, chart.Release{Values: []string{values("memory")}, Set: []string{"tls.source=none"}})
	c.create(0, 1)
	c.waitReady(0, 1)
	c.waitWhole()
	l := c.begin()
	l.more(20)
	c.frozen = true
	c.create(2)
	p := c.named(2)
	testkit.Eventually(t, patience, func() error {
		err := c.ready(p)
		if err == nil {
			t.Fatal("ready, although no other pod sends it anything")
		}
		if !strings.Contains(err.Error(), "waiting until 2 members that this node reached connect to it") {
			return fmt.Errorf("not for that reason: %w", err)
		}
		return nil
	})
	c.frozen = false
	c.publish()
	c.waitReady(2)
	c.waitWhole()
	l.end()
}
