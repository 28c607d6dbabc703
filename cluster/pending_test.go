package cluster

import (
	"fmt"
	"testing"
)

func (h *host) pending() (pending, total int64) {
	z := h.node.Status(h.reading()).Zones["kv"]
	return z.RecordsPending, z.RecordsTotal
}

// TestPendingCountsRecords, not changes.
func TestPendingCountsRecords(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.stall(true)
	for i := range 50 {
		f.hosts[0].set("one", fmt.Sprint(i))
		f.step(10)
	}
	if pending, total := f.hosts[0].pending(); pending != 1 || total != 1 {
		t.Errorf("%d of %d pending after 50 writes of one pair", pending, total)
	}
	f.stall(false)
	drained := func() bool { pending, _ := f.hosts[0].pending(); return pending == 0 }
	f.settle(1000, "drained", drained)
}

// TestPendingWhileAPeerIsTaught: what it is still to be taught is pending although no frame of the journal waits for
// it.
func TestPendingWhileAPeerIsTaught(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.hosts[0].silently(0, 20_000, "x") // which no frame of the journal has
	f.hosts[1].crash()
	f.step(10)
	f.hosts[1].start()
	f.hosts[1].know(2)
	waited := 0
	for range 2000 {
		if lacks := 20_000 - f.hosts[1].keyval.Len(); lacks > 0 && f.hosts[0].node.Status(f.now).Node.NodesOnline == 1 && f.teaching() {
			waited++
			if pending, total := f.hosts[0].pending(); pending == 0 || pending > total {
				t.Fatalf("%d of %d pending while the peer lacks %d", pending, total, lacks)
			}
			if f.hosts[0].node.Drained() {
				t.Fatalf("drained while the peer lacks %d", lacks)
			}
		}
		f.step(1)
		f.stall(true) // the outbox is asked for one piece, and the rest waits
		f.step(1)
		f.stall(false)
	}
	if waited == 0 {
		t.Error("the peer was never seen to be taught")
	}
	f.settle(2000, "drained", func() bool {
		pending, _ := f.hosts[0].pending()
		return pending == 0 && f.hosts[0].node.Drained()
	})
}

// teaching says whether host 0 has something left to teach.
func (f *fabric) teaching() bool {
	for _, p := range f.hosts[0].node.Status(f.now).Peers {
		if p.Teaching {
			return true
		}
	}
	return false
}
