package nodes

import (
	"fmt"
	"strings"
	"testing"

	"starling/e2e/harness"
)

// TestNodesThatStartTogetherFromStateWait: each node has thousands of pairs in its state file that the other lacks. The
// one that finds the other there answers its first client with what the other had.
func TestNodesThatStartTogetherFromStateWait(t *testing.T) {
	const pairs = 10_000
	cl := harness.NewCluster(t, 2)
	cl.ConfigureAll(
		strings.NewReplacer("zone=one:32k", "zone=one:64m", "listen {{.IP}}:8080;", "listen {{.IP}}:8080; client_max_body_size 8m; client_body_buffer_size 8m;").
			Replace(harness.KeyvalHTTP) +
			harness.Members,
	)
	for i, n := range cl.Nodes {
		var body strings.Builder
		for k := range pairs {
			fmt.Fprintf(&body, `,"of%d.%d":"%d"`, i, k, k)
		}
		n.Start()
		n.Wants(201, "*", "POST", harness.SetOne, "{"+body.String()[1:]+"}")
		n.Quit()
	}
	for _, n := range cl.Nodes {
		n.Start()
	}
	for k := pairs - 1; k > 0; k /= 2 {
		cl.Nodes[1].Wants(200, fmt.Sprint(k), "GET", fmt.Sprintf("/?text=of0.%d", k), "")
	}
	cl.Joined(2)
	for i := range cl.Nodes {
		cl.Nodes[0].Sees(fmt.Sprintf("/?text=of%d.%d", i, pairs-1), fmt.Sprint(pairs-1))
	}
}
