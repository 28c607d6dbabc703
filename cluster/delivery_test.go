package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"starling/cluster/wire"
	"starling/zone"
	"starling/zone/kinds"
)

const testLimitMS = 5

// login binds a new session at a host and follows it to the peers.
func (h *host) login(id string) zone.Delivery {
	if err := h.session.Bind([]byte(id), []byte("server"), h.node.ClusterTime(h.reading())); err != nil {
		h.f.t.Fatal(err)
	}
	return h.session.Deliver(zone.Need{LimitMS: testLimitMS})
}

// knows reports whether a host finds a session.
func (h *host) knows(id string) bool {
	_, found := h.session.Lookup([]byte(id), h.node.ClusterTime(h.reading()))
	return found
}

// await lets time pass until a delivery is done, or its limit is over, and returns how long that took.
func (f *fabric) await(h *host, d zone.Delivery, limitMS int) (ms int, inTime bool) {
	if d == nil {
		return 0, true
	}
	return f.awaitAny(h, d, limitMS)
}

// halt stops what travels between two hosts, or lets it go on.
func (f *fabric) halt(a, b int, stalled bool) {
	for _, p := range f.pipes {
		if pair(p.hosts[0], p.hosts[1]) == pair(a, b) {
			p.stalled = stalled
		}
	}
}

func (h *host) leftOut() (n int) {
	for _, p := range h.node.Status(h.reading()).Peers {
		if p.LeftOut {
			n++
		}
	}
	return n
}

// When a delivery of a new session is done, every peer knows the session: no matter which node the client's next
// request reaches, it finds its server.
func TestASessionIsEverywhereWhenItsDeliveryIsDone(t *testing.T) {
	f := newFabric(t, 5)
	f.settle(1000, "ready", f.ready)
	for i := range 200 {
		at := f.hosts[i%5]
		id := fmt.Sprint("session", i)
		ms, inTime := f.await(at, at.login(id), testLimitMS)
		if !inTime || ms > 2 {
			t.Fatalf("session %d: in time %v, after %d ms", i, inTime, ms)
		}
		for _, h := range f.hosts {
			if !h.knows(id) {
				t.Fatalf("host%d does not know session %d when the client does", h.index, i)
			}
		}
	}
	for _, h := range f.hosts {
		if got := h.node.Status(h.reading()).Deliveries; got != (DeliveryStatus{Waits: 40}) {
			t.Errorf("host%d counts %+v, want 40 waits", h.index, got)
		}
	}
}

// Sessions that begin between two flushes share one delivery.
func TestSessionsOfOneFlushShareADelivery(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	one, two := h.login("one"), h.login("two")
	if one != two {
		t.Error("two sessions of one flush have a delivery each")
	}
	f.step(3)
	if later := h.login("three"); later == one {
		t.Error("a later session shares a delivery that is flushed")
	}
}

// A frozen peer costs one wait, however many sessions begin while it is frozen, and however many wait at once. It counts
// again when it has caught up.
func TestAFrozenPeerCostsOneWait(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	f.halt(0, 2, true)
	first := h.login("first")
	f.step(1)
	second := h.login("second") // while the first one waits
	if ms, inTime := f.await(h, first, testLimitMS-1); inTime {
		t.Fatalf("the first session waits %d ms, although a peer does not answer", ms)
	}
	if ms, _ := f.await(h, second, testLimitMS); ms > 0 {
		t.Errorf("another session waits %d ms more for a peer that is left out", ms)
	}
	if got := h.leftOut(); got != 1 {
		t.Fatalf("%d peers are shown to be left out, want 1", got)
	}
	for i := range 100 {
		ms, inTime := f.await(h, h.login(fmt.Sprint("later", i)), testLimitMS)
		if !inTime || ms > 2 {
			t.Fatalf("session %d waits %d ms for a peer that is left out", i, ms)
		}
		if !f.hosts[1].knows(fmt.Sprint("later", i)) {
			t.Fatal("nobody waits for a peer that is not left out")
		}
	}
	if got, want := h.node.Status(h.reading()).Deliveries, (DeliveryStatus{Waits: 102, Late: 1, LeftOut: 1}); got != want {
		t.Errorf("it counts %+v, want %+v", got, want)
	}
	if len(h.said("did not acknowledge a change within 5ms")) != 1 {
		t.Error("the log does not say once that a peer is left out")
	}
	f.halt(0, 2, false)
	f.settle(20, "counted again", func() bool { return h.leftOut() == 0 })
	if _, inTime := f.await(h, h.login("last"), testLimitMS); !inTime || !f.hosts[2].knows("last") {
		t.Error("a peer that has caught up is not waited for")
	}
}

// A peer that always acknowledges too late, as behind a long line, costs ever fewer waits.
func TestALatePeerCostsEverFewerWaits(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	h, waits := f.hosts[0], 0
	for i := range 600 { // a login every 50 ms for half a minute; the line is 20 ms long
		f.halt(0, 1, true)
		ms, inTime := f.await(h, h.login(fmt.Sprint("s", i)), testLimitMS)
		if !inTime {
			waits++
		}
		f.step(20 - ms)
		f.halt(0, 1, false)
		f.step(30)
	}
	if waits < 3 || waits > 12 {
		t.Errorf("of 600 sessions %d wait for a peer that is always late", waits)
	}
}

// A peer that is late every second or tenth time costs ever fewer waits, too: to be in time once is not enough. One that
// is in time for long is forgiven.
func TestAPeerThatIsLateNowAndThenCostsEverFewerWaits(t *testing.T) {
	for _, every := range []int{2, 3, 10} {
		f := newFabric(t, 2)
		f.settle(1000, "ready", f.ready)
		h, waits := f.hosts[0], 0
		login := func(id string, late bool) {
			f.halt(0, 1, late)
			ms, inTime := f.await(h, h.login(id), testLimitMS)
			if !inTime {
				waits++
			}
			f.step(20 - ms)
			f.halt(0, 1, false)
			f.step(30)
		}
		for i := range 1200 { // a login every 50 ms for a minute
			login(fmt.Sprint("s", i), i%every == 0)
		}
		if waits < 3 || waits > 20 {
			t.Errorf("late every %d times: %d of 1200 sessions wait", every, waits)
		}
		f.step(maxPauseMS)
		for i := range forgivenAfter {
			login(fmt.Sprint("in time", i), false)
		}
		waits = 0
		login("late", true)
		login("in time at once", false)
		if waits != 1 || h.leftOut() != 0 {
			t.Errorf("late every %d times: %d waits and %d left out after it was in time for long", every, waits, h.leftOut())
		}
	}
}

// A lost connection ends the waits for its peer at once, and it is not waited for while it is away.
func TestALostPeerIsNotWaitedFor(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	f.halt(0, 2, true)
	d := h.login("first")
	f.step(1)
	f.block(0, 2)
	if ms, inTime := f.await(h, d, testLimitMS); !inTime || ms > 2 {
		t.Errorf("it waits %d ms for a peer that is lost", ms)
	}
	if ms, inTime := f.await(h, h.login("second"), testLimitMS); !inTime || ms > 2 {
		t.Errorf("it waits %d ms for a peer that is away", ms)
	}
	if got := h.node.Status(h.reading()).Deliveries; got.Late != 0 || got.LeftOut != 0 {
		t.Errorf("it counts %+v", got)
	}
}

// A flush that came too late is no peer's fault.
func TestAPeerIsNotBlamedForALateFlush(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	f.halt(0, 1, true)
	d := h.login("one") // not flushed before the time has run out
	d.End(true, h.reading())
	f.step(1)
	if h.leftOut() != 0 {
		t.Error("a peer was left out for a change that was not sent to it")
	}
}

// A node of a release before is not asked to acknowledge at once, and not waited for.
func TestAnOlderReleaseIsNotWaitedFor(t *testing.T) {
	f := newFabric(t, 2)
	old := f.add()
	old.withhold = wire.FeatureDelivery
	old.start()
	for _, h := range f.hosts {
		h.know(3)
	}
	f.settle(2000, "ready", f.ready)
	h := f.hosts[0]
	for i := range 20 {
		id := fmt.Sprint("s", i)
		if ms, inTime := f.await(h, h.login(id), testLimitMS); !inTime || ms > 2 || !f.hosts[1].knows(id) {
			t.Fatalf("session %d: in time %v after %d ms", i, inTime, ms)
		}
	}
	f.settle(50, "replicated to the older one as before", func() bool { return old.knows("s19") })
	if d := old.login("of the older one"); d != nil {
		t.Error("a node waits for peers with which it shares no way to ask them")
	}
}

// A reload that stops sharing a zone ends the waits of its changes.
func TestAZoneThatIsNoLongerSharedEndsItsDeliveries(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	f.halt(0, 1, true)
	flushed := h.login("flushed")
	f.step(1)
	fresh := h.login("fresh")
	err := h.node.Reload(Config{ID: h.node.ID(), Incarnation: h.life, Zones: []zone.Shared{h.keyval}, Kinds: kinds.Kinds(), Driver: h}, h.reading())
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]zone.Delivery{"flushed": flushed, "fresh": fresh} {
		if ms, inTime := f.await(h, d, testLimitMS); ms > 0 || !inTime {
			t.Errorf("a %s delivery of a zone that is no longer shared waits %d ms", name, ms)
		}
	}
	if h.login("later") != nil {
		t.Error("a zone that is not shared has deliveries")
	}
}

// follow writes a pair and follows it to so many nodes.
func (h *host) follow(key string, need zone.Need) zone.Delivery {
	need.From = h.keyval.Journal().Head()
	h.set(key, "value")
	return h.keyval.Deliver(need)
}

func (d *delivery) nodes() int {
	have, _ := d.Nodes()
	return have
}

// A writer can wait for a number of nodes, or for all that the cluster has, connected or not.
func TestAPairIsFollowedToSoManyNodes(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	if _, inTime := f.await(h, h.follow("a", zone.Need{Nodes: zone.AllNodes}), 50); !inTime {
		t.Error("three connected nodes do not acknowledge in time")
	}
	if ms, inTime := f.await(h, h.follow("b", zone.Need{Nodes: 1}), 50); !inTime || ms > 1 {
		t.Errorf("this node itself has it after %d ms", ms)
	}
	f.block(0, 2)
	all := h.follow("c", zone.Need{Nodes: zone.AllNodes})
	if _, inTime := f.await(h, h.follow("d", zone.Need{Nodes: 2}), 50); !inTime {
		t.Error("one of two connected nodes is not enough for two")
	}
	f.step(3)
	if have, needed := all.Nodes(); have != 2 || needed != 3 {
		t.Errorf("%d of %d nodes have it while one is away, want 2 of 3", have, needed)
	}
	clear(f.blocked)
	if _, inTime := f.await(h, all, 5000); !inTime || f.hosts[2].get("c") != "value" {
		t.Error("a node that returns in time does not count")
	}
}

// diskZone is a zone with a disk that can fail.
type diskZone struct {
	*kinds.Keyval
	fails bool
	syncs int
}

func (z *diskZone) Keep() error {
	z.syncs++
	if z.fails {
		return errors.New("no space left on device")
	}
	return nil
}

// A writer can wait until the nodes with state have the change on disk.
func TestAPairIsFollowedToTheDisk(t *testing.T) {
	f := newFabric(t, 2)
	peer := &diskZone{Keyval: f.hosts[1].keyval, fails: true}
	zones := []zone.Shared{peer, f.hosts[1].bucket, f.hosts[1].session}
	to := f.hosts[1]
	err := to.node.Reload(Config{ID: to.node.ID(), Incarnation: 1, Zones: zones, Kinds: kinds.Kinds(), Driver: to}, to.reading())
	if err != nil {
		t.Fatal(err)
	}
	f.settle(3000, "ready", f.ready)
	h := f.hosts[0]
	if _, inTime := f.await(h, h.follow("a", zone.Need{Nodes: 2}), 50); !inTime || peer.syncs > 0 {
		t.Errorf("memory is enough: in time %v, %d syncs", inTime, peer.syncs)
	}
	d := h.follow("b", zone.Need{Nodes: 2, OnDisk: true})
	if _, inTime := f.await(h, d, 50); inTime || peer.syncs == 0 || d.(*delivery).nodes() != 1 {
		t.Errorf("a disk that fails counts: in time %v, %d syncs", inTime, peer.syncs)
	}
	peer.fails = false
	if ms, inTime := f.await(h, h.follow("c", zone.Need{Nodes: 2, OnDisk: true}), 50); !inTime {
		t.Errorf("a disk that works does not count after %d ms", ms)
	}
}

// An acknowledgement after an overrun tells nothing of the frames that were lost.
func TestAnOverrunIsNotTakenForAnAcknowledgement(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[0]
	h.keyval.Resize(4, 256)
	f.halt(0, 1, true)
	f.step(1)
	d := h.follow("lost", zone.Need{Nodes: 2})
	for i := range 50 {
		h.set(fmt.Sprint("filler", i), strings.Repeat("x", 200))
		f.step(1)
	}
	f.halt(0, 1, false)
	f.settle(3000, "repaired", func() bool { return f.hosts[1].get("lost") == "value" })
	f.step(100) // acknowledgements of later frames arrive
	if d.(*delivery).nodes() != 1 {
		t.Error("an acknowledgement of later frames counts for a change that was lost")
	}
}

// A peer that claims to have what was never sent ends its connection only.
func TestFalseAcknowledgementsEndTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		outgoing bool
		t        wire.Type
		body     []byte
		want     string
	}{
		"kept":  {true, wire.TypeKept, wire.AppendAck(nil, wire.Ack{Zone: 0, Sequence: 9}), "keeps frame 9"},
		"await": {false, wire.TypeAwait, wire.Await{Kept: []uint64{7}}.Append(nil), "zone number 7"},
		"cut":   {false, wire.TypeAwait, []byte{3}, "await"},
	} {
		f := newFabric(t, 2)
		f.settle(1000, "ready", f.ready)
		end := 1
		if c.outgoing {
			end = 0
		}
		err := f.pipes[0].ends[end].Receive(wire.AppendFrame(nil, c.t, c.body, nil), f.now)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
