package cluster

import (
	"testing"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
	"starling/zone/kinds"
)

// deaf is a zone that takes frames without looking at them, so that only the protocol's own cost is counted.
type deaf struct{ *kinds.Bucket }

func (deaf) Apply(zone.Origin, uint64, []byte, int64, clock.Reading) (zone.Applied, error) {
	return zone.Applied{}, nil
}

func TestReceivingFramesCostsNoAllocations(t *testing.T) {
	f := newFabric(t, 1)
	h := f.hosts[0]
	bucket := kinds.NewBucket(kinds.BucketConfig{Name: "deaf", Expression: "k", Bytes: 1 << 20, RateMilli: 16, Sync: true})
	node, err := New(Config{ID: 1, Incarnation: 1, Zones: []zone.Shared{deaf{bucket}}, Driver: h}, f.now)
	if err != nil {
		t.Fatal(err)
	}
	s, err := node.Connected(Connection{Address: "peer"}, f.now)
	if err != nil {
		t.Fatal(err)
	}
	hello := wire.Hello{
		MinVersion: 1, Version: 1, NodeID: 2, Incarnation: 1, TimeoutMS: 1000, WallMS: uint64(f.now.WallMS),
		Zones: []wire.Zone{{Name: "deaf", Kind: kinds.BucketKind.Number, Expression: "k", Origin: 7}},
	}
	stream := wire.AppendFrame([]byte(wire.Preamble), wire.TypeHello, hello.Append(nil), nil)
	if err := s.Receive(stream, f.now); err != nil || !s.Established() {
		t.Fatal(err)
	}
	sequence := uint64(0)
	var head, frame, out []byte
	payload := make([]byte, 1000)
	push := func() {
		sequence++
		head = wire.AppendDataHead(head[:0], 0, sequence, 1)
		frame = wire.AppendFrame(frame[:0], wire.TypeData, head, payload)
		if err := s.Receive(frame, f.now); err != nil {
			t.Fatal(err)
		}
		if s.SendDelay(f.now) < 0 {
			t.Fatal("no acknowledgement is due")
		}
	}
	push()
	if n := testing.AllocsPerRun(50, push); n > 0 {
		t.Errorf("%v allocations for one frame", n)
	}
	if out = s.Outbox(out, 1<<20, f.now.Add(ms(ackMS))); len(out) == 0 {
		t.Error("nothing was acknowledged")
	}
}

func TestAChangeCostsTheRequestNoAllocations(t *testing.T) {
	f := newFabric(t, 1)
	h := f.hosts[0]
	key := []byte("10.0.0.1")
	h.bucket.Account(key, f.now, testBurstMilli)
	charge := func() {
		h.node.Flush(0, f.now)
		h.bucket.Account(key, f.now, testBurstMilli)
	}
	flushed := testing.AllocsPerRun(100, func() { h.node.Flush(0, f.now); h.node.pace.dirty.Store(true) })
	if n := testing.AllocsPerRun(100, charge) - flushed; n > 2 { // the frame and its place in the journal
		t.Errorf("%v allocations for a flush and the change that asks for it", n)
	}
	if _, dirty := h.node.NextFlush(0); !dirty {
		t.Error("the change asked for no flush")
	}
}
