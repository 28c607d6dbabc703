package cluster

import (
	"fmt"
	"strings"
	"testing"

	"starling/zone"
	"starling/zone/kinds"
)

// says is what a host tells its operator of all zones, and of the pairs of its first peer.
func (h *host) says() (all string, agree bool, kv string) {
	status := h.node.Status(h.reading())
	return status.Agreement, status.Agree, status.Peers[0].Digests["kv"].State
}

func (f *fabric) mustSay(what string, hosts []int, want string, agree bool) {
	f.t.Helper()
	for _, i := range hosts {
		if all, said, kv := f.hosts[i].says(); all != want || said != agree || kv != want {
			f.t.Errorf("%s: host%d says %q, %v, and %q of its peer", what, i, all, said, kv)
		}
	}
}

// What was written since the last comparison is unknown, here at once and on the peer when it has it; a round later all
// agree again.
func TestWhatIsNotComparedIsUnknown(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.step(5000)
	f.mustSay("in quiet", []int{0, 1}, "agree", true)
	f.hosts[0].set("k", "v")
	f.mustSay("after a write", []int{0}, "unknown", false)
	f.step(20)
	f.mustSay("when it has arrived", []int{0, 1}, "unknown", false)
	f.step(agreedForMS + freshMS)
	f.mustSay("a round later", []int{0, 1}, "agree", true)
}

// A pair that was written and deleted again was compared neither time, though the zone is as it was: a peer may have
// got only one of the two.
func TestWhatIsAsItWasIsUnknown(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.step(5000)
	f.hosts[0].set("k", "v")
	f.step(20)
	if f.hosts[1].get("k") != "v" {
		t.Fatal("the pair has not arrived: this is another case")
	}
	f.stall(true)
	if err := f.hosts[0].keyval.Delete([]byte("k"), f.hosts[0].reading()); err != nil {
		t.Fatal(err)
	}
	f.mustSay("after a write and its reverse", []int{0}, "unknown", false)
	f.stall(false)
	f.step(20)
	f.mustSay("when both have arrived", []int{0, 1}, "unknown", false)
	f.step(agreedForMS + freshMS)
	f.mustSay("a round later", []int{0, 1}, "agree", true)
}

// Hosts never say that they agree for longer than a round while their contents differ, whatever stands in the way of
// what is written.
func TestNobodyAgreesWhileContentsDiffer(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.step(5000)
	f.stall(true)
	f.hosts[0].set("k", "v")
	differMS := 0
	for range 6000 {
		f.step(1)
		for i, h := range f.hosts {
			if _, agree, _ := h.says(); agree && !f.agree() && differMS > agreedForMS {
				t.Fatalf("host%d says that they agree after %d ms", i, differMS)
			}
		}
		if differMS++; differMS == 3500 {
			f.stall(false)
		}
	}
	f.step(5000)
	f.mustSay("afterwards", []int{0, 1}, "agree", true)
}

// What a peer holds that was not heard of for two heartbeats is unknown, before its connection is given up; and so is
// what a member holds that is gone.
func TestASilentPeerIsUnknown(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.step(5000)
	f.stall(true)
	beatMS := int(Defaults.TimeoutMS / heartbeatShare)
	f.step(silentBeats*beatMS + silentSlackMS + 10)
	f.mustSay("silent", []int{0, 1}, "unknown", false)
	if online := f.hosts[0].node.Status(f.now).Node.NodesOnline; online != 1 {
		t.Errorf("%d nodes are connected: this is another case", online)
	}
	f.stall(false)
	f.block(0, 1)
	f.step(20)
	if all, agree, _ := f.hosts[0].says(); all != "unknown" || agree {
		t.Errorf("without its member it says %q, %v", all, agree)
	}
}

// A zone that lacks records for want of room cannot be compared. Its peer, whose zone is larger, is shown that too.
func TestASmallerZoneThatIsFullIsNotComparableOnBothSides(t *testing.T) {
	f := newFabric(t, 1)
	f.keyvalBytes = 32 << 10
	f.add()
	f.hosts[0].know(2)
	f.hosts[1].know(2)
	f.settle(6000, "ready", f.ready)
	for i := range 2000 {
		f.hosts[0].set(fmt.Sprint("key", i), "value")
	}
	f.step(confirmedForMS + agreedForMS)
	f.mustSay("one is full", []int{0, 1}, "full, not comparable", false)
	if lines := f.hosts[1].said("rejected "); len(lines) == 0 || !strings.HasSuffix(lines[0], ": the zone is full; increase the zone size") {
		t.Errorf("it tells %q of what it refused", lines)
	}
	if lines := f.hosts[0].said("rejected "); len(lines) == 0 || !strings.Contains(lines[0], "its zone is full (increase the zone size)") {
		t.Errorf("who was refused tells %q", lines)
	}
}

// While a member is lost, no zone agrees: what it holds is unknown, of each zone as of the whole.
func TestAZoneDoesNotAgreeWhileAMemberIsLost(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	f.step(5000)
	must := func(what, want string) {
		t.Helper()
		for _, i := range []int{0, 1} {
			status := f.hosts[i].node.Status(f.hosts[i].reading())
			for _, name := range []string{"kv", "sess", "lim"} {
				if got := status.Zones[name].Agreement; got != want {
					t.Errorf("%s: host%d says %q of zone %s, want %q", what, i, got, name, want)
				}
			}
		}
	}
	must("in quiet", "agree")
	f.block(0, 2)
	f.block(1, 2)
	f.step(int(Defaults.TimeoutMS) + agreedForMS + freshMS)
	must("without a member", "unknown")
	f.hosts[0].know(2)
	f.hosts[1].know(2)
	f.step(agreedForMS)
	must("without a member that is in no list any more", "agree")
}

// Who connects and is in no list of this node does not count: it cannot keep the nodes from agreeing, by saying nothing or by what it says.
func TestAStrangerDoesNotKeepNodesFromAgreeing(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.add().know(3)
	f.hosts[0].know(2)
	f.hosts[1].know(2)
	f.settle(6000, "ready", f.ready)
	f.step(5000)
	for to := range 2 {
		if !f.connected(2, to) {
			t.Fatalf("the stranger is not connected with host%d: this is another case", to)
		}
	}
	for _, p := range f.pipes {
		p.stalled = p.hosts[0] == 2 // it says no more
	}
	f.hosts[0].set("k", "v")
	f.step(int(Defaults.TimeoutMS) / 2)
	for _, h := range f.hosts[:2] {
		status := h.node.Status(h.reading())
		if status.Agreement != "agree" || !status.Agree || status.Zones["kv"].Agreement != "agree" {
			t.Errorf("host%d says %q, %v, and %q of its pairs", h.index, status.Agreement, status.Agree, status.Zones["kv"].Agreement)
		}
	}
}

// Limits, counts of connections and findings of health checks have no digests. A node knows of each peer whether it has
// all that the peer told, and says so; a cluster of such zones only is not alone.
func TestZonesOfCountsAgreeWhenNothingIsLacking(t *testing.T) {
	f := newFabric(t, 2)
	var conns []*kinds.Conn
	for _, h := range f.hosts {
		conn := kinds.NewConn(kinds.ConnConfig{Name: "conns", Expression: "$addr", Bytes: 1 << 20, Incarnation: uint64(h.index) + 1})
		conns = append(conns, conn)
		h.reload(h.bucket, conn, kinds.NewHealth(kinds.HealthConfig{Name: "health", Expression: "x", Bytes: 1 << 20, Incarnation: uint64(h.index) + 1}))
	}
	must := func(what, want string, agree bool) {
		t.Helper()
		for _, h := range f.hosts {
			s := h.node.Status(h.reading())
			for _, name := range []string{"lim", "conns", "health"} {
				if got := s.Zones[name].Agreement; got != want {
					t.Errorf("%s: host%d says %q of %s, want %q", what, h.index, got, name, want)
				}
			}
			if s.Agreement != want || s.Agree != agree {
				t.Errorf("%s: host%d says %q, %v", what, h.index, s.Agreement, s.Agree)
			}
		}
	}
	f.settle(6000, "connected", func() bool { return f.connected(0, 1) && f.connected(1, 0) })
	f.step(1000)
	must("in quiet", "agree", true)
	told := 0
	for _, s := range f.hosts[1].node.all() {
		for _, iz := range s.intake.list() {
			if !s.Outgoing && iz != nil && iz.state.shared == conns[1] {
				conns[1].Forfeit(iz.origin, iz.last+1) // frames were lost, and the counts must be told anew
				told++
			}
		}
	}
	d := f.hosts[1].node.Status(f.hosts[1].reading()).Peers[0].Digests["conns"]
	if told != 1 || d.State != "unknown" || d.DifferingShards != zone.Shards {
		t.Errorf("of a peer whose counts it lacks it says %+v", d)
	}
	f.step(500)
	must("when all was told again", "agree", true)
	f.block(0, 1)
	f.step(int(Defaults.TimeoutMS) + 1000)
	must("without its member", "unknown", false)
	f.hosts[0].know(1)
	f.hosts[1].know(0)
	f.step(1000)
	must("without members", "alone", true)
}
