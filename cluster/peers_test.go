package cluster

import (
	"fmt"
	"testing"
	"time"
)

// An id names one start of a process; a member that is started again has another one.
func (h *host) startAs(id NodeID) {
	h.crash()
	h.f.step(10)
	h.start()
	node, err := New(Config{ID: id, Incarnation: h.life, Zones: h.zones(), Driver: h}, h.reading())
	if err != nil {
		h.f.t.Fatal(err)
	}
	h.node = node
	h.node.Expect(len(h.members))
}

// The operator is asked about members: one that was started three times is one that came back, not one connected and
// three lost.
func TestARestartedMemberIsShownOnce(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	for id := range NodeID(3) {
		f.hosts[1].startAs(200 + id)
		f.settle(8000, "connected again", func() bool { return f.hosts[0].at("status.nodes_online") == 1.0 && f.ready() })
	}
	f.settle(8000, "the lives before are gone from the status", func() bool {
		return len(f.hosts[0].node.Status(f.hosts[0].reading()).Peers) == 1
	})
	p := f.hosts[0].node.Status(f.hosts[0].reading()).Peers[0]
	if p.State != "connected" || p.NodeID != NodeID(202).String() || p.Losses != 6 || p.LastError != "cut" {
		t.Errorf("the member is shown as %+v", p)
	}
}

// As soon as another node answers at the address of a lost one, that is named as replaced: nobody has to look for it.
func TestALostPeerIsReplacedByWhoAnswersAtItsAddress(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	before := f.hosts[1].node.ID().String()
	f.hosts[1].startAs(200)
	states := map[string]string{}
	f.settle(8000, "connected with the next one", func() bool {
		clear(states)
		for _, p := range f.hosts[0].node.Status(f.hosts[0].reading()).Peers {
			states[p.NodeID] = p.State
		}
		return states[NodeID(200).String()] == "connected"
	})
	if states[before] != "replaced" {
		t.Errorf("the peers are %v, want %s replaced", states, before)
	}
}

// A peer that is down, and at whose address nobody answers, stays in the status to be asked about.
func TestALostMemberStaysShown(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.hosts[1].crash()
	f.step(60_000)
	if got := f.hosts[0].at("peers.0.state"); got != "lost" {
		t.Errorf("the lost member is %v", got)
	}
}

// A process that starts over and over, or strangers with ids made up, do not lock out who comes next.
func TestThoseGoneMakeRoom(t *testing.T) {
	f := newFabric(t, 1)
	n := f.hosts[0].node
	from := func(i int) *Session {
		return &Session{node: n, identity: identity{key: fmt.Sprint(i / maxIDs), host: "h"}}
	}
	for i := range NodeID(maxPeers) {
		if _, err := n.meet(from(int(i)), 1000+i, f.now); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.meet(from(maxPeers), 1, f.now); fmt.Sprint(err) != "1024 peers are already known and none of them is disconnected" {
		t.Errorf("of peers that may be between hello and standing one gave way: %v", err)
	}
	f.now = f.now.Add(time.Duration(Defaults.ConnectTimeoutMS) * time.Millisecond)
	f.hosts[0].node.peers[1007].lastSeenMS -= 1
	if _, err := n.meet(from(maxPeers), 1, f.now); err != nil {
		t.Error(err)
	}
	if n.peers[1007] != nil || len(n.peers) != maxPeers {
		t.Errorf("not the one that is gone longest gave way; %d are remembered", len(n.peers))
	}
}
