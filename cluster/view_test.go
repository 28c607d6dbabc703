package cluster

import (
	"fmt"
	"strings"
	"testing"

	"starling/cluster/wire"
)

// views are what host i is told by the others.
func (f *fabric) views(i int) map[string]View { return f.hosts[i].node.Views(f.hosts[i].reading()) }

// A node that is asked for the whole cluster asks its peers, and the next time it knows what each of them sees. Nothing
// is sent unless somebody looks.
func TestViews(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	f.hosts[0].set("a", "1")
	f.hosts[1].hit("client", 2)
	f.settle(20_000, "all agree", func() bool { return f.hosts[0].at("nodes_agree") == true && f.hosts[1].at("nodes_agree") == true })
	if got := f.views(0); len(got) != 0 {
		t.Fatalf("before it has asked: %v", got)
	}
	f.step(200)
	got := f.views(0)
	second, third := got[NodeID(101).String()], got[NodeID(102).String()]
	if len(got) != 2 || !second.Ready || !second.Agree || second.AgeMS > 200 {
		t.Fatalf("the views are %+v", got)
	}
	own := f.hosts[1].node.Status(f.hosts[1].reading())
	kv, want := second.Zones["kv"], own.Zones["kv"]
	if kv.Digest != want.Digest || kv.Digest == "" || kv.Agreement != "agree" || kv.Records != 1 || !kv.Ready || kv.Changes == 0 ||
		int64(kv.Bytes) != want.RecordBytes {
		t.Errorf("zone kv of host 1 is told as %+v, and is %+v", kv, want)
	}
	if lim := second.Zones["lim"]; lim.Digest != "" || lim.Agreement != "agree" || lim.Records != 1 {
		t.Errorf("zone lim of host 1 is told as %+v", lim)
	}
	if len(second.Peers) != 2 || second.Peers[1].NodeID != NodeID(102).String() || second.Peers[1].State != "connected" ||
		second.Peers[1].Agreement != "agree" {
		t.Errorf("host 1 sees %+v", second.Peers)
	}

	// Two of the others lose each other: each still tells, and host 0 sees both sides of it.
	f.block(1, 2)
	f.settle(5000, "they notice", func() bool {
		got := f.views(0)
		return got[NodeID(101).String()].Peers[1].State == "lost" && got[NodeID(102).String()].Peers[1].State == "lost"
	})
	if third.Peers[1].State != "connected" {
		t.Errorf("before, host 2 saw %+v", third.Peers)
	}
	// One that is gone tells nothing any more.
	f.hosts[2].crash()
	f.step(200)
	if got := f.views(0); len(got) != 1 {
		t.Errorf("the views are %+v", got)
	}
	f.step(200)
	before := f.hosts[1].node.viewMS
	f.step(3000)
	if now := f.hosts[1].node.viewMS; now != before {
		t.Error("a view is made although nobody looks")
	}
}

// A peer that asks all the time is told twice a second, and a view that no peer writes ends its connection.
func TestHostileViews(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	told := 0
	h := f.hosts[1]
	for range 1000 {
		for _, s := range h.node.all() {
			if s.Outgoing {
				s.mu.Lock()
				before := s.controlMsgs
				if err := s.handlePush(wire.Frame{Type: wire.TypeViewRequest}, h.reading()); err != nil {
					t.Fatal(err)
				}
				s.mu.Unlock()
				h.node.tellViews(h.reading())
				told += int(s.controlMsgs - before)
			}
		}
		f.step(1)
	}
	if told < 1 || told > 3 {
		t.Errorf("told %d times in a second", told)
	}
	long := wire.View{Zones: make([]wire.ViewedZone, wire.MaxViewed+1)}
	peers := wire.View{Peers: make([]wire.ViewedPeer, wire.MaxViewed+1)}
	name := wire.View{Zones: []wire.ViewedZone{{Name: strings.Repeat("x", 256)}}}
	strange := wire.View{Peers: []wire.ViewedPeer{{Agreement: 99}}}
	for what, body := range map[string][]byte{
		"too many zones": long.Append(nil), "too many peers": peers.Append(nil), "a long name": name.Append(nil),
		"a strange agreement": strange.Append(nil), "nothing": nil,
	} {
		_, lone := lonely(t)
		a := lone.f.comes(lone, "10.6.6.6", "CN=evil", helloOf(evilID, 1, 70))
		if err := a.says(wire.TypeView, body); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}

// A view has room for so many zones and peers, whatever the status has.
func TestViewIsBounded(t *testing.T) {
	s := Status{Zones: map[string]ZoneStatus{}}
	for i := range 2 * wire.MaxViewed {
		s.Zones[fmt.Sprintf("zone%04d", i)] = ZoneStatus{RecordsTotal: int64(i)}
		s.Peers = append(s.Peers, PeerStatus{NodeID: NodeID(i).String()})
	}
	v := s.view()
	if len(v.Zones) != wire.MaxViewed || len(v.Peers) != wire.MaxViewed || v.Zones[1].Name != "zone0001" || v.Peers[1].ID != 1 {
		t.Errorf("%d zones and %d peers", len(v.Zones), len(v.Peers))
	}
	if _, err := wire.ParseView(v.Append(nil)); err != nil {
		t.Error(err)
	}
}
