package crash

import (
	"fmt"
	"testing"

	"starling/e2e/harness"
)

// TestAcknowledgedPairsOutliveTheirWriterAndAPeer: with state=, the answer to ack=all says that all nodes have the pair
// on disk. The writer and a peer are killed as soon as it arrives. Both have the pair when they start again, although
// the third node, from which they could get it, is gone.
func TestAcknowledgedPairsOutliveTheirWriterAndAPeer(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(harness.KeyvalHTTP + harness.Members)
	writer, peer, third := cl.Nodes[0], cl.Nodes[1], cl.Nodes[2]
	rounds := 3
	if harness.Long() {
		rounds = 20
	}
	for round := range rounds {
		for i := range 20 { // the last one is what counts; the others keep the disks busy
			body := fmt.Sprintf(`{"round-%d-%d":"x"}`, round, i)
			writer.Wants(201, "", "POST", harness.SetOne+"?ack=all&timeout=30s", body)
		}
		peer.Kill()
		writer.Kill()
		third.Kill()
		for _, n := range []*harness.Node{peer, writer} {
			n.Start()
			for i := range 20 {
				n.Wants(200, "x", "GET", fmt.Sprintf("/?text=round-%d-%d", round, i), "")
			}
			n.Kill()
		}
		for _, n := range cl.Nodes {
			n.Start()
		}
		cl.Joined(3)
	}
}

// TestAcknowledgedDeletionsOutliveACrash: what ack=all says to be deleted does not come back from any disk.
func TestAcknowledgedDeletionsOutliveACrash(t *testing.T) {
	cl := harness.NewCluster(t, 3)
	cl.Start(harness.KeyvalHTTP + harness.Members)
	writer := cl.Nodes[0]
	const all = "?ack=all&timeout=30s"
	writer.Wants(201, "", "POST", harness.SetOne+all, `{"gone":"x","changed":"old","kept":"x"}`)
	writer.Wants(204, "", "PATCH", harness.SetOne+all, `{"gone":null}`)
	writer.Wants(204, "", "PATCH", harness.SetOne+all, `{"changed":"new"}`)
	for _, n := range cl.Nodes {
		n.Kill()
	}
	for _, n := range cl.Nodes {
		n.Start()
		n.Wants(200, "", "GET", "/?text=gone", "")
		n.Wants(200, "new", "GET", "/?text=changed", "")
		n.Wants(200, "x", "GET", "/?text=kept", "")
		n.Kill()
	}
}
