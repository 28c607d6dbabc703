package cluster

import (
	"testing"

	"starling/cluster/wire"
)

// Idle nodes tell each other a sum for each zone, and are shown to agree all the time.
func TestIdleNodesCompareSums(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	f.hosts[0].set("key", "value")
	f.settle(2*digestEveryMS, "shown to agree", f.shown)
	before := f.hosts[0].node.Status(f.now).Node
	for range 100 {
		f.step(100)
		if !f.shown() {
			t.Fatal("idle nodes are not shown to agree")
		}
	}
	now := f.hosts[0].node.Status(f.now).Node
	if sent := now.BytesOut - before.BytesOut; sent > 6000 { // digests of both zones for two peers: 41,000
		t.Errorf("%d bytes were sent in ten seconds", sent)
	}
}

// A node of a release before is sent digests at once, and sends them.
func TestAnOlderReleaseIsComparedByDigests(t *testing.T) {
	f := newFabric(t, 2)
	f.hosts[1].crash()
	f.hosts[1].withhold = wire.FeatureSums
	f.hosts[1].start()
	f.hosts[1].know(2)
	f.settle(AloneMS+1000, "ready", f.ready)
	f.hosts[0].silently(0, 10, "of 0")
	f.hosts[1].silently(10, 10, "of 1")
	f.settle(freshMS+2*digestEveryMS, "agreeing", f.agree)
	f.settle(2*digestEveryMS, "shown to agree", f.shown)
}

// The heartbeats of a node to all its peers go out together, and each peer answers at once.
func TestHeartbeatsGoOutTogetherAndAreAnswered(t *testing.T) {
	f := newFabric(t, 5)
	f.settle(1000, "ready", f.ready)
	f.hosts[4].crash()
	f.step(700)
	f.hosts[4].start()
	f.hosts[4].know(5)
	f.settle(AloneMS+1000, "ready", f.ready)
	f.step(10_000)
	for _, h := range f.hosts {
		sent := make(map[int64]int)
		for _, s := range h.node.all() {
			if s.Outgoing {
				sent[s.sentMS]++
			}
		}
		if len(sent) != 1 {
			t.Errorf("host%d sent its last heartbeats at %v", h.index, sent)
		}
	}
	for _, p := range f.pipes {
		if p.closed {
			continue
		}
		asked, answered := p.ends[0].sentMS, p.ends[1].sentMS
		if answered < asked || answered > asked+10 {
			t.Errorf("a heartbeat sent at %d is answered at %d", asked, answered)
		}
	}
}

// A peer that sends heartbeats all the time gets no more answers than one that does not, and what it says of zones that
// it does not share ends its connection.
func TestHostileHeartbeatsAndSums(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.step(3000)
	victim := f.pipes[0].ends[1]
	beat := wire.AppendFrame(nil, wire.TypeHeartbeat, wire.Heartbeat{WallMS: uint64(f.now.WallMS), Token: 1}.Append(nil), nil)
	before := victim.controlMsgs
	for range 1000 {
		if err := victim.Receive(beat, f.now); err != nil {
			t.Fatal(err)
		}
	}
	if answers := victim.controlMsgs - before; answers > 1 {
		t.Errorf("1,000 heartbeats at once are answered by %d", answers)
	}
	many := make([]wire.Sum, wire.MaxZones+1)
	for i := range many {
		many[i].Zone = uint64(i)
	}
	for what, sums := range map[string][]wire.Sum{
		"an unknown zone": {{Zone: 77}}, "a zone named twice": {{Zone: 0}, {Zone: 0}}, "too many zones": many,
	} {
		if err := f.pipes[0].ends[1].sums(wire.AppendSums(nil, sums), f.now); err == nil {
			t.Errorf("sums of %s are accepted", what)
		}
	}
	unknown := wire.DigestRequest{Zones: []uint64{77}}.Append(nil)
	if err := f.pipes[0].ends[0].digestsRequested(unknown); err == nil {
		t.Error("a request for digests of an unknown zone is accepted")
	}
}

// A peer that asks for digests all the time is sent them once for each of the dialer's writes.
func TestDigestsAreSentOnceHoweverOftenTheyAreRequested(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.step(100)
	dialer := f.pipes[0].ends[0]
	request := wire.AppendFrame(nil, wire.TypeDigestRequest, wire.DigestRequest{Zones: []uint64{0, 2}}.Append(nil), nil)
	for range 100 {
		if err := dialer.Receive(request, f.now); err != nil {
			t.Fatal(err)
		}
	}
	if out := dialer.Outbox(nil, 1<<20, f.now); len(out) > 3*2100 {
		t.Errorf("%d bytes are queued", len(out))
	}
}
