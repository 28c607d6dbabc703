package cluster

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"starling/cluster/wire"
	"starling/lib/testkit"
)

// memoryPerByte and memoryAtAll bound what frames make a session allocate, whatever they say: a gap is remembered shard
// by shard, and digests that differ are answered with a sketch of 80 KB, once.
const (
	memoryPerByte = 256
	memoryAtAll   = 2 << 20
)

// FuzzSession lets a peer that has completed its hello say anything in well-formed frames, on either side of a
// connection. The session may end; nothing may panic, and the other sessions of the node go on.
func FuzzSession(f *testing.F) {
	add := func(outgoing bool, frames ...any) {
		var b []byte
		for i := 0; i < len(frames); i += 2 {
			body := frames[i+1].([]byte)
			b = append(append(b, byte(frames[i].(wire.Type)), byte(len(body)), byte(len(body)>>8)), body...)
		}
		f.Add(outgoing, b)
	}
	sums := [256]uint64{1}
	add(false, wire.TypeData, append(wire.AppendDataHead(nil, 0, 1, 5), 1, 2, 3), wire.TypeData, wire.AppendDataHead(nil, 1, 9, 5))
	add(false, wire.TypeTeachBegin, (&wire.TeachBegin{Zone: 1, LostTo: 7, Frontier: []wire.Applied{{Origin: 3, Sequence: 2}}}).Append(nil),
		wire.TypeTeach, wire.AppendTeachHead(nil, 1, 0, true), wire.TypeReady, wire.Ready{Zone: 2}.Append(nil))
	add(false, wire.TypeDigests, wire.Digests{Zone: 0, Shards: &sums}.Append(nil), wire.TypeHeartbeat, wire.Heartbeat{WallMS: 1 << 63}.Append(nil))
	add(true, wire.TypeAck, wire.AppendAck(nil, wire.Ack{Zone: 0, Sequence: 1}), wire.TypeReport, wire.Report{Records: 2, AheadMS: 1 << 40}.Append(nil))
	add(true, wire.TypeTeachRequest, wire.TeachRequest{Zone: 1, Shards: wire.All, Merge: true}.Append(nil), wire.TypeTakeover, []byte{})
	add(false, wire.TypeSums, wire.AppendSums(nil, []wire.Sum{{Zone: 0, Sum: 1}, {Zone: 2, Sum: 1}}), wire.TypeSums, []byte{200, 1})
	add(true, wire.TypeDigestRequest, wire.DigestRequest{Zones: []uint64{0, 2, 0}}.Append(nil))
	cells := make([]byte, 64*20)
	add(false, wire.TypeDigests, wire.Digests{Zone: 0, Shards: &sums}.Append(nil), wire.TypeRepair, wire.AppendRepairHead(nil, 0),
		wire.TypeRepairEnd, wire.RepairEnd{Last: 255, TooMany: true}.Append(nil),
		wire.TypeBury, wire.Wants{Elements: []wire.Element{{Key: 1, Version: 2}}}.Append(nil))
	add(true, wire.TypeSketch, wire.Sketch{Last: 255, Cells: cells}.Append(nil), wire.TypeAgreed, wire.Agreed{}.Append(nil),
		wire.TypeWants, wire.Wants{Elements: []wire.Element{{Key: 1, Version: 2}}}.Append(nil))
	add(false, wire.TypeData, append(wire.AppendDataHead(nil, 2, 1, 5), 1, 2, 3), wire.TypeAwait, wire.Await{Kept: []uint64{0, 2, 9}}.Append(nil))
	add(true, wire.TypeAsk, wire.Ask{Number: 1, Zone: 2, Key: []byte("0123456789abcdef")}.Append(nil))
	add(false, wire.TypeAnswer, append(wire.AppendAnswerHead(nil, 1, 2), 1, 2, 3))
	add(true, wire.TypeKept, wire.AppendAck(nil, wire.Ack{Zone: 0, Sequence: 1}))
	add(true, wire.TypeGoodbye, wire.Goodbye{Reason: wire.ReasonStopping, Text: "\n\x1b[31mforged"}.Append(nil))

	f.Fuzz(func(t *testing.T, outgoing bool, script []byte) {
		net := newFabric(t, 2)
		net.settle(1000, "ready", net.ready)
		end := 1
		if outgoing {
			end = 0
		}
		victim := net.pipes[0].ends[end]
		received, allocated := 0, 0
		for len(script) >= 3 {
			kind, size := wire.Type(script[0]&0x7f), int(script[1])|int(script[2])<<8
			body := script[3:min(3+size, len(script))]
			script = script[3+len(body):]
			frame := wire.AppendFrame(nil, kind, body, nil)
			received += len(frame)
			var err error
			allocated += testkit.Allocated(func() { err = victim.Receive(frame, net.now) })
			if err != nil {
				break
			}
		}
		if most := memoryAtAll + memoryPerByte*received; allocated > most {
			t.Errorf("%d bytes were allocated for %d received, want at most %d", allocated, received, most)
		}
		if e := victim.Ended(); e != nil && strings.ContainsAny(e.Err.Error(), "\n\x1b") {
			t.Errorf("a line of the log was forged by why a session ended: %q", e.Err)
		}
		net.step(3)
		for _, h := range net.hosts {
			h.node.Status(net.now)
			for _, e := range h.events {
				if bytes.ContainsAny([]byte(e.Text), "\n\x1b") {
					t.Errorf("a line of the log was forged: %q", e.Text)
				}
			}
		}
	})
}

// Fifteen nodes that start together are ready as soon as they have met, and count exactly.
func TestFifteenNodesStartTogether(t *testing.T) {
	f := newFabric(t, 15)
	f.settle(100, "ready", f.ready)
	for i := range 50 {
		for _, h := range f.hosts {
			h.hit(fmt.Sprint("k", i%5), 1)
		}
		f.step(1)
	}
	f.step(30)
	for _, h := range f.hosts {
		h.checkKeys(5, 150)
	}
}
