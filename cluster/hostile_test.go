package cluster

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"starling/cluster/wire"
	"starling/zone"
)

// lim is the place of the zone of limits in an actor's hello.
const lim = 1

// data is the body of a frame with costs of one request, or whatever payload.
func data(zone, sequence uint64, payload ...byte) []byte {
	return append(wire.AppendDataHead(nil, zone, sequence, 0), payload...)
}

// asked counts the requests to be taught in what a host sends an actor.
func (a *actor) asked() (requests int) {
	d := wire.NewDecoder()
	d.Trust()
	out := a.session.Outbox(nil, 1<<20, a.host.reading())
	if a.opened {
		out = append([]byte(wire.Preamble), out...)
	}
	a.opened = true
	d.Filled(copy(d.Space(len(out)), out))
	for {
		f, ok, err := d.Next()
		if err != nil {
			a.f.t.Fatal(err)
		}
		if !ok {
			return requests
		}
		if f.Type == wire.TypeTeachRequest {
			requests++
		}
	}
}

// lonely is a host that is ready and knows of nobody.
func lonely(t testing.TB) (*fabric, *host) {
	f := newFabric(t, 1)
	f.step(AloneMS + 100)
	return f, f.hosts[0]
}

// Twenty thousand gaps cost one request to be taught and one line, until that is answered or given up.
func TestGapsAreAskedForOnce(t *testing.T) {
	f, h := lonely(t)
	a := f.comes(h, "10.6.6.6", "CN=evil", helloOf(evilID, 1, 70))
	for i := range uint64(20_000) {
		if err := a.says(wire.TypeData, data(lim, 2+2*i, 2)); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.asked(); got != 1 {
		t.Errorf("it is asked to teach %d times", got)
	}
	if lines := h.said("skipped frames"); len(lines) != 1 {
		t.Errorf("%d lines tell of it", len(lines))
	}
	for shard := range zone.Shards { // answered, though with nothing: what was left out meanwhile is asked for
		if err := a.says(wire.TypeTeach, wire.AppendTeachHead(nil, lim, uint8(shard), true)); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.asked(); got != 1 {
		t.Errorf("after the answer it is asked %d times more, want once", got)
	}
}

// No journal jumps by more than it can hold; what comes then was made up.
func TestJumpsAreRefused(t *testing.T) {
	for _, test := range []struct {
		name      string
		sequences []uint64
		refused   string
	}{
		{"a journal's length", []uint64{1, 2, 2 + zone.MaxFrames}, ""},
		{"more", []uint64{1, 2, 3 + zone.MaxFrames}, "frame 65539 of zone \"lim\" follows frame 2: the gap exceeds any journal"},
		{"at the start", []uint64{1 + zone.MaxFrames}, "follows frame 0"},
		{"back to before the first", []uint64{1, 60_000, 120_000, 0}, "sequence 0 is out of range: journals begin with 1"},
		{"to where no journal gets", []uint64{1, 1 << 62}, "sequence 4611686018427387904 is out of range"},
	} {
		f, h := lonely(t)
		a := f.comes(h, "10.6.6.6", "", helloOf(evilID, 1, 70))
		for _, sequence := range test.sequences {
			a.says(wire.TypeData, data(lim, sequence, 2))
		}
		if got := a.ended(); (got == "") != (test.refused == "") || !strings.Contains(got, test.refused) {
			t.Errorf("%s: it ended for %q, want %q", test.name, got, test.refused)
		}
		if test.refused != "" && errorLines(h, a) != 1 {
			t.Errorf("%s: %d lines at ERROR, want one", test.name, errorLines(h, a))
		}
	}
}

// What a teacher says of another node's journal does not outlast that node's word: its frames count.
func TestTeachersLiesAboutJournalsEnd(t *testing.T) {
	const far = 1 << 40
	f := newFabric(t, 1)
	p := newProgress(1, false, f.now)
	p.applied[7] = &inflow{last: far} // by a frontier
	p.ready.Store(true)
	p.applied[8] = &inflow{last: zone.MaxSequence - 1}
	if got := p.resume(8); got >= zone.MaxSequence {
		t.Errorf("its origin would be asked for frame %d, which it refuses to read", got)
	}
	if got := p.arrived(7, 1, 5, f.now); !got.fresh || !got.gap {
		t.Errorf("a frame of it is %+v", got)
	}
	if p.applyDone(7, 5); p.resume(7) != 6 {
		t.Errorf("it would resume at %d", p.resume(7))
	}
}

// A taught piece speaks for who teaches it.
func TestPiecesInAnothersNameAreRefused(t *testing.T) {
	f, h := lonely(t)
	a := f.comes(h, "10.6.6.6", "", helloOf(evilID, 1, 70))
	piece := []byte{3, 0, 1, 99, 0, 0, 0, 0, 0, 0, 0, 1} // of shard 0, by origin 99 after its frame 1
	err := a.says(wire.TypeTeach, append(wire.AppendTeachHead(nil, lim, 0, true), piece...))
	if err == nil || !strings.Contains(err.Error(), "claims origin 0000000000000063") {
		t.Errorf("it is answered with %v", err)
	}
	if lines := errorLines(h, a); lines != 1 {
		t.Errorf("%d lines at ERROR, want one", lines)
	}
}

// errorLines are those that the log gets for a session that broke the protocol: the core's, and the carrier's at its end.
func errorLines(h *host, a *actor) (lines int) {
	for _, e := range h.events {
		if e.Kind == Problem {
			lines++
		}
	}
	if a.session.Ended().Broken {
		lines++
	}
	return lines
}

// A peer that begins one connection after the other has two: the one that stands, and the latest that could take over.
func TestConnectionsOfOnePeerAreBounded(t *testing.T) {
	f, h := lonely(t)
	var all []*actor
	for range 50 {
		all = append(all, f.comes(h, "10.6.6.6", "CN=evil", helloOf(evilID, 1, 70)))
	}
	standing := 0
	for _, a := range all {
		if a.ended() == "" {
			standing++
		}
	}
	if standing != 2 || all[0].ended() != "" || all[49].ended() != "" {
		t.Errorf("%d of 50 connections stand", standing)
	}
}

// A node's lives are few: one that brings origin after origin has its own oldest forgotten, not others'.
func TestOriginsOfOnePeerAreBounded(t *testing.T) {
	f, h := lonely(t)
	f.comes(h, "10.0.0.1", "CN=one", helloOf(honestID, 1, 70)).says(wire.TypeData, data(lim, 1, 2))
	for i := range uint64(30 * maxLives) {
		a := f.comes(h, "10.6.6.6", "CN=evil", helloOf(evilID, 1, 1000+10*i))
		if err := a.says(wire.TypeData, data(lim, 1, 2)); err != nil {
			t.Fatal(err)
		}
		a.session.Lost(nil, h.reading())
	}
	z := h.node.table.Load().byName["lim"]
	if z.resume(71) != 2 || len(z.applied) > 1+maxLives {
		t.Errorf("another's journal goes on at %d; %d origins are remembered", z.resume(71), len(z.applied))
	}
	if p := h.node.peers[evilID]; len(p.origins) > 3*maxOriginsOf || len(h.node.origins) > 4*maxOriginsOf {
		t.Errorf("%d origins are bound to it, %d in all", len(p.origins), len(h.node.origins))
	}
}

// Two hundred connections with frames that claim much cost less than 30 MB, and next to no work: what is allocated for
// a byte stands for it.
func TestTwoHundredConnectionsCostLittle(t *testing.T) {
	const connections, rounds = 200, 50
	f, h := lonely(t)
	frame := []byte{13, 77 | 0x80, 0xff, 0xff, 0xff, 7, 0xfe, 1, 0, 0} // 16 MiB of an unknown type
	frame = wire.AppendFrame(nil, wire.Type(frame[1]), frame[2:], nil)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var actors []*actor
	for i := range connections {
		host := fmt.Sprint("10.6.6.", i)
		actors = append(actors, f.comes(h, host, fmt.Sprintf("CN=%d", i), helloOf(evilID+NodeID(i), 1, uint64(1000+10*i))))
	}
	sent := 0
	for range rounds {
		for _, a := range actors {
			if err := a.session.Receive(frame, h.reading()); err != nil {
				t.Fatal(err)
			}
			sent += len(frame)
		}
	}
	runtime.ReadMemStats(&after)
	if most := uint64(30 << 20); after.TotalAlloc-before.TotalAlloc > most {
		t.Errorf("%d bytes were allocated for %d connections and %d bytes", after.TotalAlloc-before.TotalAlloc, connections, sent)
	}
	perFrame := testing.AllocsPerRun(100, func() { actors[0].session.Receive(frame, h.reading()) })
	if perFrame > 0 {
		t.Errorf("%v allocations for a frame that is skipped", perFrame)
	}
}

// A peer that asks for sketches of a few shards again and again is answered until the budget is spent, and at its pace
// afterwards.
func TestSketchesHaveABudget(t *testing.T) {
	f, h := lonely(t)
	a := f.isDialled(h, "10.0.0.1:9000", "", helloOf(honestID, 1, 70))
	kv := h.node.table.Load().byName["kv"]
	a.session.push.zones = append(a.session.push.zones, &pushZone{state: kv, index: 0, shard: -1})
	cells := wire.Sketch{Zone: 0, First: 0, Last: 254, Cells: make([]byte, 64*20)}.Append(nil)
	answered := 0
	ask := func() {
		pz := a.session.push.zones[0]
		pz.repairs = nil
		if err := a.says(wire.TypeSketch, cells); err != nil {
			t.Fatal(err)
		}
		answered += len(pz.repairs)
	}
	for range 1000 {
		ask()
	}
	if answered != sketchShardsMost/255 {
		t.Errorf("%d of 1000 sketches at once are answered", answered)
	}
	f.step(2000)
	if ask(); answered != sketchShardsMost/255+1 {
		t.Errorf("after two seconds %d are answered, want one more", answered)
	}
}

// Who brings a node's origin before the node does may say what it likes: when the node comes, its journal goes on where
// others had got to.
func TestAnImpostorsFramesAreNotTheNodes(t *testing.T) {
	for _, test := range []struct {
		name      string
		impostor  wire.Hello
		sequence  uint64
		taught    uint64 // by others
		resumesAt uint64
	}{
		{"its first frame", copied, 1, 0, 1},
		{"one far ahead", copied, 60_000, 0, 1},
		{"one far ahead, in another node's name", helloOf(evilID, 1, 70), 60_000, 0, 1},
		{"one after those that others taught", copied, 6, 5, 6},
	} {
		f, h := lonely(t)
		z := h.node.table.Load().byName["lim"]
		if test.taught > 0 {
			z.applied[71] = &inflow{last: test.taught, taught: test.taught}
		}
		evil := f.comes(h, "10.6.6.6", "", test.impostor)
		if err := evil.says(wire.TypeData, data(lim, test.sequence, 2)); err != nil {
			t.Fatal(err)
		}
		f.isDialled(h, "10.0.0.1:9000", "", honest)
		node := f.comes(h, "10.0.0.1", "", honest)
		evil.session.Lost(nil, h.reading())
		if node.says(wire.TypeTakeover, nil); node.ended() != "" || evil.ended() == "" {
			t.Fatalf("%s: the node's connection ended for %q, the other one for %q", test.name, node.ended(), evil.ended())
		}
		if got := z.resume(71); got != test.resumesAt {
			t.Errorf("%s: the node's journal goes on at frame %d, want %d", test.name, got, test.resumesAt)
		}
		if lacks := wire.ShardSet(z.shared.Lacks(71)); !lacks.Empty() {
			t.Errorf("%s: it lacks %x, which frames bring", test.name, lacks)
		}
	}
}

// Behind one address nobody can be told apart. But a node knows how far its journal is, and what came beyond that as
// its own did not come from it.
func TestAnOriginSaysHowFarItIs(t *testing.T) {
	f, h := lonely(t)
	f.comes(h, "192.0.2.1", "", honest).says(wire.TypeData, data(lim, 60_000, 2))
	real := newFabric(t, 1).hosts[0].bucket
	real.SetOrigin(71)
	real.Charge([]byte("k"), f.now)
	real.Flush(f.now)

	a := f.comes(h, "192.0.2.1", "", honest)
	h.node.peers[honestID].in[honest.Incarnation].Lost(nil, h.reading())
	a.says(wire.TypeTakeover, nil)
	a.says(wire.TypeTeachBegin, (&wire.TeachBegin{Zone: lim, LostTo: real.Journal().Head()}).Append(nil))
	real.Charge([]byte("k"), f.now)
	real.Flush(f.now)
	frame, _, _, _ := real.Journal().Frame(2)
	a.says(wire.TypeData, data(lim, 2, frame...))
	for shard := range zone.Shards {
		piece, _, _ := real.TeachShard(shard, 0, nil, 1<<20, f.now)
		a.says(wire.TypeTeach, append(wire.AppendTeachHead(nil, lim, uint8(shard), true), piece...))
	}
	real.Charge([]byte("k"), f.now)
	real.Flush(f.now)
	frame, _, _, _ = real.Journal().Frame(3)
	a.says(wire.TypeData, data(lim, 3, frame...))
	if got := h.excess("k"); a.ended() != "" || got != 3 {
		t.Errorf("%d requests are counted, want 3; it ended for %q", got, a.ended())
	}
}
