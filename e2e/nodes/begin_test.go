package nodes

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// TestNodesThatStartTogetherFromStateWait: each node has thousands of pairs in its state file that the other lacks. The
// one that finds the other there answers its first client with what the other had.
func TestNodesThatStartTogetherFromStateWait(t *testing.T) {
	const pairs = 10_000
	cl := harness.NewCluster(t, 2)
	cl.ConfigureAll(
		strings.NewReplacer("zone=one:32k", "zone=one:64m",
			"listen {{.IP}}:8080;", "listen {{.IP}}:8080; client_max_body_size 8m; client_body_buffer_size 8m;").
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
		if !synced(t, cl.Nodes[1], fmt.Sprintf("of0.%d", k), fmt.Sprint(k)) {
			break
		}
	}
	cl.Joined(2)
	for i := range cl.Nodes {
		for _, n := range cl.Nodes {
			n.Sees(fmt.Sprintf("/?text=of%d.%d", i, pairs-1), fmt.Sprint(pairs-1))
		}
	}
}

// synced reports whether an early client gets a pair. On a slow machine the node holds its clients back no longer: without
// an answer from the other one, or before it has all pairs. It must say so.
func synced(t *testing.T, n *harness.Node, key, want string) bool {
	t.Helper()
	got := n.Must("GET", "/?text="+key, "")
	if got.Body == want {
		return true
	}
	t.Logf("the client that asked for %s got %q", key, got.Body)
	n.WaitLog("accepting clients before the initial sync completed")
	return false
}

// TestANodeThatLoadsItsStateIsWaitedFor: one of two nodes that start together has a far larger state file. It listens
// for the other one before it has read the file, and that one, which finds it there but silent, holds its clients back
// until it has the pairs.
func TestANodeThatLoadsItsStateIsWaitedFor(t *testing.T) {
	few, many := 10, 400_000
	if harness.Raced {
		many = 50_000 // which take as long
	}
	cl := harness.NewCluster(t, 2)
	cl.ConfigureAll(
		strings.NewReplacer("zone=one:32k", "zone=one:256m",
			"listen {{.IP}}:8080;", "listen {{.IP}}:8080; client_max_body_size 32m; client_body_buffer_size 32m;").
			Replace(harness.KeyvalHTTP) +
			harness.Members,
	)
	for i, pairs := range []int{few, many} {
		n := cl.Nodes[i]
		n.Start()
		var body strings.Builder
		for k := range pairs {
			fmt.Fprintf(&body, `,"of%d.%d":"%d"`, i, k, k)
		}
		n.Wants(201, "*", "POST", harness.SetOne, "{"+body.String()[1:]+"}")
		n.Quit()
	}
	quick, slow := cl.Nodes[0], cl.Nodes[1]
	slow.Launch()
	testkit.Eventually(t, harness.Patience, func() error {
		conn, err := slow.Dial("9000")
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	if _, err := slow.Dial("8080"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("the sync port is bound when clients are served, not before the state is loaded: %v", err)
	}
	quick.Start()
	synced(t, quick, fmt.Sprintf("of1.%d", many-1), fmt.Sprint(many-1))
	slow.Started()
	quick.Sees(fmt.Sprintf("/?text=of1.%d", many-1), fmt.Sprint(many-1))
	slow.Sees(fmt.Sprintf("/?text=of0.%d", few-1), fmt.Sprint(few-1))
}
