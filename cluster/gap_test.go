package cluster

import (
	"testing"

	"starling/cluster/wire"
	"starling/zone"
	"starling/zone/kinds"
)

// A frame is applied once: not when it comes again, on this connection or the next. One that leaves others out is
// noticed.
func TestFramesArriveOnce(t *testing.T) {
	f := newFabric(t, 1)
	p := newProgress(1, false, f.now)
	p.ready.Store(true)
	for _, step := range []struct {
		sequence   uint64
		fresh, gap bool
	}{{1, true, false}, {1, false, false}, {2, true, false}, {1, false, false}, {5, true, true}, {4, false, false}, {6, true, false}} {
		got := p.arrived(7, 1, step.sequence, f.now)
		if got.fresh != step.fresh || got.gap != step.gap || got.madeUp {
			t.Errorf("frame %d: %+v", step.sequence, got)
		}
		p.applyDone(7, step.sequence)
	}
	if next := p.resume(7); next != 7 {
		t.Errorf("it would resume at %d", next)
	}
}

// The connection ends after a dialer has said that frames are lost, and before it has taught what they cost: the
// acceptor knows what it lacks, and asks for that on the next connection.
func TestWhatWasLostIsAskedForAgain(t *testing.T) {
	const lim = 1 // its place in the hello
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	dialer, acceptor := f.hosts[0], f.hosts[1]
	for _, p := range f.pipes {
		p.stalled = true
	}
	for range 5 {
		dialer.hit("k", 1)
		dialer.bucket.Flush(f.now)
	}
	session := acceptor.node.peers[dialer.node.id].in[dialer.life]
	begin := wire.TeachBegin{Zone: lim, LostTo: dialer.bucket.Journal().Head()}
	session.mu.Lock()
	err := session.teachBegin(begin.Append(nil), f.now)
	session.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	origin := dialer.node.table.Load().list[lim].origin
	if lacks := wire.ShardSet(acceptor.bucket.Lacks(origin)); lacks != wire.All {
		t.Errorf("it lacks %x", lacks)
	}
	for _, p := range f.pipes {
		f.cut(p)
	}
	f.settle(1000, "taught", func() bool { return acceptor.excess("k") >= 4 })
	if lacks := acceptor.bucket.Lacks(origin); lacks != [zone.Shards / 64]uint64{} {
		t.Errorf("it still lacks %x", lacks)
	}
	dialer.hit("k", 10)
	f.step(50)
	if one, two := dialer.excess("k"), acceptor.excess("k"); one != two {
		t.Errorf("%d are counted here and %d there", one, two)
	}
}

// A newcomer notices frames that came after those it was taught, whether their origin is connected when it gets ready
// or not, and also where nobody has taught it to the end.
func TestGapsBeforeTheFirstFrameAreGivenUp(t *testing.T) {
	const lim = 1
	f := newFabric(t, 2)
	node := f.hosts[0].node
	for _, test := range []struct {
		name     string
		frontier uint64 // 0 for not taught
		first    uint64
		gap      bool
	}{{"taught up to it", 4, 5, false}, {"taught less", 3, 5, true}, {"not taught, from the first on", 0, 1, false}, {"not taught", 0, 5, true}} {
		z := *node.table.Load().list[lim]
		z.progress = newProgress(1, false, f.now)
		z.shared = kinds.NewBucket(kinds.BucketConfig{Name: "lim", Bytes: 1 << 20, RateMilli: testRateMilli, Sync: true})
		taught := test.frontier > 0
		if taught {
			z.learner.frontier, z.learner.hasFrontier = map[zone.Origin]uint64{7: test.frontier}, true
		}
		if got := z.arrived(7, 1, test.first, f.now); got.gap != (taught && test.gap) {
			t.Errorf("%s: a gap is noticed when the frame comes: %+v", test.name, got)
		}
		z.applied[7].gap = false // as if it had come before the teaching began
		z.mu.Lock()
		node.becomeReady(&z, taught, f.now)
		z.mu.Unlock()
		if lacks := wire.ShardSet(z.shared.Lacks(7)); lacks.Empty() == test.gap {
			t.Errorf("%s: it lacks %x", test.name, lacks)
		}
		if got := z.applied[7].taught; got != test.frontier {
			t.Errorf("%s: others had got to frame %d, it says", test.name, got)
		}
	}
}

// What a newcomer holds of frames after a gap must not be added to the first piece either.
func TestGapsAreGivenUpBeforeTheFirstPiece(t *testing.T) {
	z := &zoneState{progress: newProgress(1, false, newFabric(t, 1).now)}
	z.shared = kinds.NewBucket(kinds.BucketConfig{Name: "lim", Bytes: 1 << 20, RateMilli: testRateMilli, Sync: true})
	teacher := new(Session)
	z.learner.sources[teacher] = &source{ready: true}
	z.applied[7], z.applied[8] = &inflow{first: 5}, &inflow{first: 5}
	z.teachBegins(teacher, &wire.TeachBegin{Frontier: []wire.Applied{{Origin: 7, Sequence: 3}, {Origin: 8, Sequence: 4}}})
	if seven, eight := wire.ShardSet(z.shared.Lacks(7)), wire.ShardSet(z.shared.Lacks(8)); seven != wire.All || !eight.Empty() {
		t.Errorf("it lacks %x of the one and %x of the other", seven, eight)
	}
}
