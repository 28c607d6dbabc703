package cluster

import (
	"fmt"
	"testing"

	"starling/cluster/wire"
	"starling/zone"
)

// agree says whether all hosts hold the same pairs and sessions.
func (f *fabric) agree() bool {
	var want, got [zone.Shards]uint64
	for _, pick := range []func(*host) zone.Shared{
		func(h *host) zone.Shared { return h.keyval },
		func(h *host) zone.Shared { return h.session },
	} {
		pick(f.hosts[0]).Digests(&want)
		for _, h := range f.hosts[1:] {
			if pick(h).Digests(&got); got != want {
				return false
			}
		}
	}
	return true
}

// shown says whether each host's status says that it agrees with all others.
func (f *fabric) shown() bool {
	for _, h := range f.hosts {
		for _, p := range h.node.Status(h.reading()).Peers {
			if p.Digests["kv"].State != "agree" || p.Digests["sess"].State != "agree" {
				return false
			}
		}
	}
	return true
}

func (f *fabric) block(a, b int) {
	f.blocked[pair(a, b)] = true
	for _, p := range f.pipes {
		if pair(p.hosts[0], p.hosts[1]) == pair(a, b) {
			f.cut(p)
		}
	}
}

// silently writes pairs that no journal carries.
func (h *host) silently(first, n int, value string) {
	scratch := &host{f: h.f}
	scratch.start()
	for i := range n {
		scratch.set(fmt.Sprintf("key%d", first+i), value)
	}
	for shard := range zone.Shards {
		if piece, _, _ := scratch.keyval.TeachShard(shard, 0, nil, 1<<20, h.f.now); len(piece) > 0 {
			if _, err := h.keyval.Learn(piece, h.f.now); err != nil {
				h.f.t.Fatal(err)
			}
		}
	}
}

// Nodes that differ, for whatever reason, find out and send each other what they lack, few records or nearly all.
func TestDifferencesAreRepaired(t *testing.T) {
	tests := []struct {
		name             string
		both, one, other int
		limitMS          int
	}{
		{"one", 1000, 1, 0, 5000},
		{"some on both sides", 1000, 100, 150, 5000},
		{"two thousand", 30_000, 1000, 1000, 5000},
		{"too many for one sketch", 30_000, 4000, 3000, 6000},
		{"hopeless", 0, 4000, 3000, 6000},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFabric(t, 2)
			f.settle(1000, "ready", f.ready)
			for _, h := range f.hosts {
				h.silently(0, test.both, "both")
			}
			f.step(freshMS)
			f.hosts[0].silently(test.both, test.one, "one")
			f.hosts[1].silently(test.both+test.one-test.other/2, test.other, "other")
			f.settle(freshMS+test.limitMS, "agreeing", f.agree)
			f.settle(2*digestEveryMS, "shown to agree", f.shown)
			if got := f.hosts[0].node.Status(f.now).Zones["kv"]; got.Repairs == 0 {
				t.Errorf("no repair is counted: %+v", got)
			}
		})
	}
}

// While two nodes write all the time their digests are never the same; they are shown to agree, and what is missing is
// repaired.
func TestRepairOfABusyZone(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	n := 0
	write := func(ms int) {
		for range ms {
			for _, h := range f.hosts {
				for range 5 {
					h.set(fmt.Sprintf("busy%d", n%20_000), fmt.Sprint(n))
					n++
				}
			}
			f.step(1)
		}
	}
	write(4 * digestEveryMS)
	for waited := 0; !f.shown() && waited < 2*digestEveryMS; waited++ { // each comparison shows it for a moment
		write(1)
	}
	if !f.shown() {
		t.Errorf("busy nodes are not shown to agree: %+v", f.hosts[0].node.Status(f.now).Peers)
	}
	f.hosts[1].silently(0, 300, "missing")
	write(freshMS + 2*digestEveryMS)
	for i := range 300 {
		if got := f.hosts[0].get(fmt.Sprintf("key%d", i)); got != "missing" {
			t.Fatalf("key%d is %q", i, got)
		}
	}
}

// Nodes 0 and 2 cannot reach each other; what they write crosses node 1.
func TestRepairCrossesABrokenLink(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	f.block(0, 2)
	for i := range 50 {
		f.hosts[0].set(fmt.Sprint("a", i), "from 0")
		f.hosts[2].set(fmt.Sprint("b", i), "from 2")
		f.step(1)
	}
	f.settle(freshMS+2*digestEveryMS, "agreeing", f.agree)
	if err := f.hosts[2].keyval.Delete([]byte("a7"), f.hosts[2].reading()); err != nil {
		t.Fatal(err)
	}
	f.settle(freshMS+2*digestEveryMS, "deleted", func() bool { return f.hosts[0].get("a7") == "" && f.agree() })
}

// After an overrun only what is missing is sent, what was written a moment ago too, and within a second.
func TestOverrunIsRepaired(t *testing.T) {
	for _, behind := range []int{0, 1} {
		t.Run(fmt.Sprint("host ", behind), func(t *testing.T) {
			f := newFabric(t, 2)
			f.settle(1000, "ready", f.ready)
			for _, h := range f.hosts {
				h.silently(0, 20_000, "both")
			}
			f.step(3000)
			f.block(0, 1)
			for i := range 2 * minRingFrames {
				f.hosts[1-behind].set(fmt.Sprintf("a%d", i), "x")
				f.step(1)
			}
			before := f.hosts[1-behind].node.Status(f.now).Node.BytesOut
			clear(f.blocked)
			f.settle(1000, "agreeing", f.agree)
			if sent := f.hosts[1-behind].node.Status(f.now).Node.BytesOut - before; sent > 150_000 {
				t.Errorf("%d bytes of records were sent", sent)
			}
		})
	}
}

// A peer of a release without repair is taught as before, and is sent no frame that it does not know.
func TestPeerWithoutRepairIsTaught(t *testing.T) {
	f := newFabric(t, 2)
	f.hosts[1].withhold = wire.FeatureRepair
	f.hosts[1].crash()
	f.hosts[1].start()
	f.settle(AloneMS+1000, "ready", f.ready)
	f.block(0, 1)
	for i := range 2 * minRingFrames {
		f.hosts[0].set(fmt.Sprintf("a%d", i), "x")
		f.step(1)
	}
	clear(f.blocked)
	f.settle(1000, "agreeing", f.agree)
	f.hosts[0].silently(0, 10, "missing")
	f.step(freshMS + 3*digestEveryMS)
	if got := f.hosts[1].get("key1"); got != "" {
		t.Errorf("key1 is %q at a node that does not repair", got)
	}
}

func TestDivisionOfDifferences(t *testing.T) {
	at := func(key uint64, msec int64, rest uint64) zone.Element {
		return zone.Element{Key: key, Version: uint64(msec)<<16 | rest}
	}
	const ms = 100_000
	here := []zone.Element{at(9, 10, 0), at(1, 5, 0), at(2, 7, 1), at(3, 3, 0), at(5, ms-freshMS+1, 0), at(6, 2, 0)}
	there := []zone.Element{at(2, 7, 2), at(3, 4, 0), at(4, 4, 0), at(6, ms+freshMS, 0)}
	d := divide(here, there, ms, gone{nothingGone, nothingGone})
	if want := "[{1 327680} {2 458753} {9 655360}]"; fmt.Sprint(d.send) != want {
		t.Errorf("sent %v, want %v", d.send, want)
	}
	if want := "[{2 458754} {3 262144} {4 262144}]"; fmt.Sprint(d.want) != want {
		t.Errorf("wanted %v, want %v", d.want, want)
	}
	if d.left != 2 {
		t.Errorf("%d left", d.left)
	}
	d = divide(here, there, ms, gone{9, 9})
	if want := "[{1 327680}] [{4 262144}]"; fmt.Sprint(d.buryHere, d.buryThere) != want {
		t.Errorf("buried %v and %v, want %v", d.buryHere, d.buryThere, want)
	}
}

// BenchmarkRepair is the work of both nodes, on one core, for 1,000 differences in a million sessions, with writes
// going on: 10,000 a second on each.
func BenchmarkRepair(b *testing.B) {
	const records, differences, writesPerMS = 1_000_000, 1000, 10
	f := newFabric(b, 2)
	f.settle(1000, "ready", f.ready)
	for _, h := range f.hosts {
		h.bindSilently(records)
	}
	f.step(3 * digestEveryMS)
	if !f.agree() {
		b.Fatal("the nodes differ before anything was done")
	}
	bytes, steps := 0, 0
	for round := 0; b.Loop(); round++ {
		b.StopTimer()
		f.step(100)
		scratch := &host{f: f, skewMS: -freshMS - 1}
		scratch.start()
		for i := range differences {
			scratch.bind(i*(records/differences), fmt.Sprintf("10.0.%d.1", round%200))
		}
		scratch.teachSessions(f.hosts[1])
		before := f.hosts[0].node.Status(f.now).Zones["sess"]
		f.count = 0
		f.pipes[0].ends[0].digestsNow.Store(true)
		f.pipes[1].ends[0].digestsNow.Store(true)
		b.StartTimer()
		for f.hosts[0].node.Status(f.now).Zones["sess"].Repairs == before.Repairs {
			for range writesPerMS {
				for _, h := range f.hosts {
					h.bind(f.rand.IntN(records), "10.1.1.1")
				}
			}
			f.step(1)
			if steps++; steps > 100*(round+1) {
				b.Fatalf("no repair in 100 ms: %+v", f.hosts[0].node.Status(f.now).Zones["sess"])
			}
		}
		bytes += f.count
		// A few were written again meanwhile.
		if got := f.hosts[0].node.Status(f.now).Zones["sess"].Repaired - before.Repaired; got < differences*9/10 {
			b.Fatalf("%d records repaired after %d ms", got, steps)
		}
	}
	b.ReportMetric(float64(bytes)/float64(b.N), "bytes")
	b.ReportMetric(float64(steps)/float64(b.N), "virtual-ms")
}

func (h *host) bind(session int, server string) {
	if err := h.session.Bind(fmt.Appendf(nil, "session-%08d", session), []byte(server), h.reading()); err != nil {
		h.f.t.Fatal(err)
	}
}

// bindSilently binds sessions that no journal carries.
func (h *host) bindSilently(n int) {
	scratch := &host{f: h.f}
	scratch.start()
	for i := range n {
		scratch.bind(i, "10.0.0.1")
	}
	scratch.teachSessions(h)
}

func (h *host) teachSessions(to *host) {
	for shard := range zone.Shards {
		if piece, _, _ := h.session.TeachShard(shard, 0, nil, 1<<30, h.f.now); len(piece) > 0 {
			if _, err := to.session.Learn(piece, h.f.now); err != nil {
				h.f.t.Fatal(err)
			}
		}
	}
}

// The acceptor of a connection has what the dialer lacks, and does not push to it yet: nobody can be asked, and the two
// do not agree.
func TestWhatCannotBeAskedForIsADifference(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	n := f.hosts[0].node
	for _, s := range n.all() {
		if !s.Outgoing {
			continue
		}
		clear(s.peer.in)
		if wanted := s.want(n.table.Load().byName["kv"], []zone.Element{{Key: 1, Version: 2}}); wanted != 1 {
			t.Errorf("%d records count as wanted, not 1", wanted)
		}
	}
}
