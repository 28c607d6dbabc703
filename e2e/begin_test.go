package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestNodesThatStartTogetherFromStateWait: each node has thousands of pairs in its state file that the other lacks. The one that finds
// the other there answers its first client with what the other had.
func TestNodesThatStartTogetherFromStateWait(t *testing.T) {
	const pairs = 10_000
	cl := newCluster(t, 2)
	cl.configureAll(strings.NewReplacer("zone=one:32k", "zone=one:64m", "listen {{.IP}}:8080;", "listen {{.IP}}:8080; client_max_body_size 8m; client_body_buffer_size 8m;").
		Replace(keyvalHTTP) + members)
	for i, n := range cl.Nodes {
		var body strings.Builder
		for k := range pairs {
			fmt.Fprintf(&body, `,"of%d.%d":"%d"`, i, k, k)
		}
		n.start()
		n.wants(201, "*", "POST", setOne, "{"+body.String()[1:]+"}")
		n.quit()
	}
	for _, n := range cl.Nodes {
		n.start()
	}
	for k := pairs - 1; k > 0; k /= 2 {
		cl.Nodes[1].wants(200, fmt.Sprint(k), "GET", fmt.Sprintf("/?text=of0.%d", k), "")
	}
	cl.joined(2)
	for i := range cl.Nodes {
		cl.Nodes[0].sees(fmt.Sprintf("/?text=of%d.%d", i, pairs-1), fmt.Sprint(pairs-1))
	}
}
