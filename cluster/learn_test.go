package cluster

import (
	"fmt"
	"testing"
	"time"

	"starling/zone"
	"starling/zone/kinds"
)

// checkKeys fails unless a host counts want requests on each of the keys.
func (h *host) checkKeys(keys int, want int64) {
	h.f.t.Helper()
	for i := range keys {
		if got := h.excess(fmt.Sprint("k", i)); got != want && got != want-1 {
			h.f.t.Errorf("host%d counts %d on k%d, want %d", h.index, got, i, want)
			return
		}
	}
}

// One of the two teachers lags behind the other. What it has not seen arrives with the other's journal, and counts
// once.
func TestTaughtByOneThatLags(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	for _, p := range f.pipes {
		if p.hosts == [2]int{0, 1} {
			p.stalled = true
		}
	}
	const keys = 300
	for i := range keys {
		f.hosts[0].hit(fmt.Sprint("k", i), 3)
	}
	f.step(5)
	newcomer := f.add()
	for _, h := range f.hosts {
		h.know(3)
	}
	f.settle(100, "ready", f.ready)
	f.step(20)
	newcomer.checkKeys(keys, 3)
	for _, p := range f.pipes {
		p.stalled = false
	}
	f.step(20)
	for _, h := range f.hosts {
		h.checkKeys(keys, 3)
	}
}

// overrunRings makes all rings forget their beginnings.
func (f *fabric) overrunRings() {
	for range minRingFrames + 10 {
		for _, h := range f.hosts {
			h.hit("k0", 1)
			h.set("key", fmt.Sprint(f.now.MonoMS))
		}
		f.step(1)
	}
	f.step(20)
}

func TestNewcomerIsTaughtOnce(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	f.overrunRings()
	newcomer := f.add()
	for _, h := range f.hosts {
		h.know(4)
	}
	f.settle(100, "ready", f.ready)
	f.step(20)
	if lines := newcomer.said("resync"); lines != nil {
		t.Errorf("a newcomer was taught anew: %s", lines)
	}
	newcomer.checkKeys(1, f.hosts[0].excess("k0"))
}

// A node that a newcomer meets late resumes where its teacher was, although its ring has forgotten its beginning.
func TestLateAcquaintanceIsResumed(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.overrunRings()
	newcomer := f.add()
	f.blocked[pair(0, 2)] = true
	for _, h := range f.hosts {
		h.know(3)
	}
	f.settle(100, "ready", f.ready)
	f.hosts[0].hit("k0", 7) // seen by the teacher after it taught
	f.step(20)
	f.blocked = map[[2]int]bool{}
	f.settle(100, "connected", func() bool { return newcomer.node.Status(f.now).Node.NodesOnline == 2 })
	f.step(20)
	if lines := newcomer.said("resync"); lines != nil {
		t.Errorf("the late acquaintance taught: %s", lines)
	}
	newcomer.checkKeys(1, f.hosts[0].excess("k0"))
}

// A teacher that dies in the middle is replaced by another.
func TestTeacherDies(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	const keys = 2000
	for i := range keys {
		f.hosts[i%3].hit(fmt.Sprint("k", i), 2)
		f.hosts[i%3].set(fmt.Sprint("key", i), "v")
	}
	f.step(50)
	newcomer := f.add()
	for _, h := range f.hosts {
		h.know(4)
	}
	for !newcomer.hasSources(2) {
		f.step(1)
	}
	f.hosts[0].crash()
	f.settle(200, "ready", f.ready)
	newcomer.checkKeys(keys, 2)
	for i := range keys {
		if newcomer.get(fmt.Sprint("key", i)) != "v" {
			t.Fatalf("key%d is missing", i)
		}
	}
}

// hasSources says whether so many peers teach, or all is done already.
func (h *host) hasSources(n int) bool {
	for _, z := range h.node.table.Load().list {
		z.mu.Lock()
		have := len(z.learner.sources)
		z.mu.Unlock()
		if have >= n || z.ready.Load() {
			return true
		}
	}
	return false
}

// A peer that does not read overruns its buffers while connected. The others are not slowed; it is taught when it reads
// again.
func TestSlowPeerIsTaughtAndSlowsNobody(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	for round := range 3 {
		for _, p := range f.pipes {
			p.stalled = p.hosts[1] == 2 || p.hosts[0] == 2
		}
		for i := range minRingFrames + 100 {
			f.hosts[0].set("key", fmt.Sprint(round, ".", i))
			f.hosts[0].hit("k0", 1)
			f.step(1)
		}
		f.step(5)
		if got, want := f.hosts[1].get("key"), f.hosts[0].get("key"); got != want {
			t.Fatalf("the quick peer has %q, want %q", got, want)
		}
		for _, p := range f.pipes {
			p.stalled = false
		}
		f.step(50)
		if got, want := f.hosts[2].get("key"), f.hosts[0].get("key"); got != want {
			t.Fatalf("the slow peer has %q, want %q", got, want)
		}
		f.hosts[2].checkKeys(1, f.hosts[0].excess("k0"))
	}
	if f.hosts[0].said("too slow for zone") == nil {
		t.Error("the overrun was not logged")
	}
}

// preload puts a record into the zone that no journal has, as a state file does.
func (h *host) preload(key, value string) {
	file := kinds.NewKeyval(kinds.KeyvalConfig{Name: "kv", Expression: "$arg_k", Bytes: 1 << 20, TimeoutMS: 3_600_000, Sync: true})
	if err := file.Set([]byte(key), []byte(value), 0, h.reading()); err != nil {
		h.f.t.Fatal(err)
	}
	for shard := range zone.Shards {
		piece, _, _ := file.TeachShard(shard, 0, nil, 1<<20, h.reading())
		if len(piece) == 0 {
			continue
		}
		if _, err := h.keyval.Learn(piece, h.reading()); err != nil {
			h.f.t.Fatal(err)
		}
	}
}

// All nodes start with records from a file: each learns the others'.
func TestPreloadedZonesMerge(t *testing.T) {
	f := newFabric(t, 3)
	for _, h := range f.hosts {
		h.crash()
		h.start()
		h.preload(fmt.Sprint("of", h.index), "1")
		node, err := New(Config{ID: h.node.id, Incarnation: 99, Zones: h.zones(), Driver: h}, h.reading())
		if err != nil {
			t.Fatal(err)
		}
		h.node = node
		h.know(3)
	}
	f.settle(1000, "ready", f.ready)
	f.step(50)
	for _, h := range f.hosts {
		for i := range 3 {
			if h.get(fmt.Sprint("of", i)) != "1" {
				t.Errorf("host%d lacks of%d", h.index, i)
			}
		}
	}
}

// A process that was stopped for longer than AloneMS was not alone meanwhile: its teachers may be back in a moment.
func TestStoppedNewcomerWaitsAgain(t *testing.T) {
	f := newFabric(t, 1)
	h := f.add()
	h.node.Expect(2)
	f.step(AloneMS / 2)
	f.now = f.now.Add(2 * AloneMS * time.Millisecond)
	f.step(AloneMS / 2)
	if h.node.Ready() {
		t.Error("it was ready at once")
	}
	f.settle(AloneMS, "ready", h.node.Ready)
}
