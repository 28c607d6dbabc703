package carrier

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"starling/cluster/strict"
	"starling/lib/clock"
)

// connNode is a node with a strict limit of connections.
type connNode struct {
	*strictNode
	ended atomic.Int64
	held  []*strict.Conn
}

// connMesh starts nodes with a limit of connections.
func connMesh(t *testing.T, count int, limit int64) (nodes []*connNode) {
	t.Helper()
	started, members := strictNodes(t, count)
	for _, node := range started {
		n := &connNode{strictNode: node}
		nodes = append(nodes, n)
		n.start(members, func(c *Config) {
			n.gate = strict.NewConnGate("conns", limit, 1000, 9)
			c.Strict = &StrictConfig{
				File: filepath.Join(n.dir, "register"), Gates: []*strict.Gate{n.gate}, ConnLeaseUS: 1_000_000,
			}
		})
	}
	for _, n := range nodes {
		eventually(t, n.ready)
	}
	return nodes
}

// enter opens a connection if there is a place.
func (n *connNode) enter(key string) bool {
	verdict, c, ticket := n.gate.Enter(key, func() { n.ended.Add(1) }, clock.SteadyUS())
	if verdict == strict.Parked {
		verdict = strict.Rejected
		if <-ticket.Decided {
			verdict = strict.Admitted
		}
		ticket.Release()
	}
	if verdict.Admits() {
		n.held = append(n.held, c)
	}
	return verdict.Admits()
}

// fill opens connections until so many are open at a node.
func (n *connNode) fill(count int) {
	n.t.Helper()
	eventually(n.t, func() error {
		for len(n.held) < count {
			if !n.enter("key") {
				return fmt.Errorf("node %d: %d connections are open", n.index, len(n.held))
			}
		}
		return nil
	})
}

// A node that loses the majority ends its connections, once, and the log says so. One that stops leaves its slots to the
// others, which have no more than the limit together.
func TestAFence(t *testing.T) {
	nodes := connMesh(t, 3, 9)
	for _, n := range nodes {
		n.fill(3)
	}
	for _, n := range nodes {
		if n.enter("key") {
			t.Errorf("node %d admits a connection above the limit", n.index)
		}
	}
	nodes[2].stop()
	nodes[0].fill(6)
	if nodes[1].enter("key") {
		t.Error("a connection above the limit is admitted")
	}
	if ended := nodes[0].ended.Load() + nodes[1].ended.Load(); ended != 0 {
		t.Errorf("%d connections of the majority were ended", ended)
	}
	if ended := nodes[2].ended.Load(); ended != 3 {
		t.Errorf("%d connections of a node that stopped were ended, want 3", ended)
	}
	nodes[2].log.told("this node is shutting down: ended 3 connections", 1)
	nodes[1].stop()
	eventually(t, func() error {
		if ended := nodes[0].ended.Load(); ended != 6 {
			return fmt.Errorf("%d of 6 connections were ended", ended)
		}
		return nil
	})
	nodes[0].log.told("ended 6 connections", 1)
	if nodes[0].enter("key") {
		t.Error("a node alone admits a connection")
	}
}

// A member that knows no zones of connections takes no part; the others decide, and name it.
func TestAMemberWithoutTheZoneOfConnections(t *testing.T) {
	nodes := connMesh(t, 3, 9)
	config := nodes[2].config
	config.Strict = &StrictConfig{
		File:  filepath.Join(nodes[2].dir, "register"),
		Gates: []*strict.Gate{strict.NewGate("lim", strict.Limit{Rate: strict.Request}, 10, 7)},
	}
	if err := nodes[2].carrier.Reload(config); err != nil {
		t.Fatal(err)
	}
	nodes[0].fill(9)
	if nodes[1].enter("key") {
		t.Error("a connection above the limit is admitted")
	}
	eventually(t, func() error {
		if nodes[0].log.find("takes no part in") == "" && nodes[0].log.find("has a strict zone that this node lacks") == "" {
			return fmt.Errorf("node 2 is not named")
		}
		return nil
	})
}
