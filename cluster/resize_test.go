package cluster

import (
	"fmt"
	"strings"
	"testing"

	"starling/zone"
	"starling/zone/kinds"
)

// resize gives the zone of pairs of a host another size, as a reload does.
func (h *host) resize(bytes int64) (dropped int) {
	info, now := h.keyval.Info(), h.node.ClusterTime(h.reading())
	h.keyval.Reconfigure(kinds.Change{Bytes: bytes, Expression: info.Expression, Sync: true, TimeoutMS: info.TimeoutMS}, now)
	h.reload(h.zones()...)
	return h.keyval.Settle(now)
}

// shareAll shares all zones of a host, or none but that of sessions, as reloads do.
func (h *host) shareAll(sync bool) {
	now := h.node.ClusterTime(h.reading())
	pairs, limits := h.keyval.Info(), h.bucket.Info()
	h.keyval.Reconfigure(kinds.Change{Bytes: pairs.Bytes, Expression: pairs.Expression, Sync: sync, TimeoutMS: pairs.TimeoutMS}, now)
	h.bucket.Reconfigure(kinds.Change{Bytes: limits.Bytes, Expression: limits.Expression, Sync: sync, RateMilli: limits.RateMilli}, now)
	if sync {
		h.reload(h.zones()...)
	} else {
		h.reload(h.session)
	}
}

// A rolling resize: the node that has become smaller drops what does not fit, the others keep all, and no log tells more
// than that the sizes differ. Once it is as large again, it gets everything back.
func TestNodesOfDifferentSizes(t *testing.T) {
	const pairs = 3000
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	for i := range pairs {
		f.hosts[i%3].set(fmt.Sprint("key", i), "1")
		f.now.WallMS++
		f.now.MonoMS++
	}
	agree := func() bool {
		for _, h := range f.hosts {
			if !h.node.Status(h.reading()).Agree {
				return false
			}
		}
		return true
	}
	f.settle(20_000, "all agree", agree)
	small, before := f.hosts[1], f.hosts[1].keyval.Lineage()
	dropped := small.resize(zone.RecordBytes * 1000)
	if dropped == 0 || small.keyval.Lineage() == before {
		t.Fatalf("dropped %d, of the same lineage: %v", dropped, small.keyval.Lineage() == before)
	}
	f.step(20_000)
	for i, h := range f.hosts {
		if h != small && h.keyval.Len() != pairs {
			t.Errorf("host%d has %d of %d pairs", i, h.keyval.Len(), pairs)
		}
		status := h.node.Status(h.reading())
		if got := status.Zones["kv"]; got.Full != (h == small) || got.Agreement != saysFull {
			t.Errorf("host%d shows full %v, %q", i, got.Full, got.Agreement)
		}
	}
	f.hosts[0].set("new", "1")
	f.step(100)
	if small.keyval.Stats().Refused > 0 && small.get("new") != "" {
		t.Error("a full zone has taken a pair")
	}
	small.resize(8 << 20)
	f.settle(60_000, "it has all again", func() bool { return small.keyval.Len() == pairs+1 && agree() })
	for i, h := range f.hosts {
		for _, e := range h.events {
			if e.Kind >= Warning && !strings.Contains(e.Text, "zone is full") {
				t.Errorf("host%d says %q", i, e.Text)
			}
		}
	}
}

// Settings that differ are a NOTICE during a rollout, and a WARN if they stay.
func TestDifferentSizesAreToldOnceARolloutIsOver(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.hosts[0].resize(16 << 20)
	f.step(1000)
	told := func(kind EventKind) (lines int) {
		for _, e := range f.hosts[1].events {
			if e.Kind == kind && strings.Contains(e.Text, `zone "kv" has different settings: its size in bytes is`) {
				lines++
			}
		}
		return lines
	}
	if told(Notice) != 1 || told(Warning) != 0 {
		t.Errorf("in a rollout: %d notices, %d warnings", told(Notice), told(Warning))
	}
	f.step(rolloutMS + 1000)
	if told(Warning) != 1 {
		t.Errorf("after a minute: %d warnings", told(Warning))
	}
}

// Reloads on both sides share zones and end that, in the middle of traffic. Each request counts once on each host, what
// was written is everywhere, and what was deleted, on whichever side, stays deleted.
func TestZonesAreSharedNowAndThen(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	hits, present, gone := int64(0), map[string]bool{}, map[string]bool{}
	shared := [2]bool{true, true}
	for round := range 300 {
		who := f.rand.IntN(2)
		h := f.hosts[who]
		requests := 1 + f.rand.IntN(3)
		h.hit("client", requests)
		hits += int64(requests)
		key := fmt.Sprint("key", round)
		h.set(key, "1")
		present[key] = true
		f.step(f.rand.IntN(4))
		if other := f.hosts[f.rand.IntN(2)]; round%3 == 0 && other.keyval.Delete([]byte(key), other.reading()) == nil {
			delete(present, key)
			gone[key] = true
		}
		if f.rand.IntN(4) == 0 {
			shared[who] = !shared[who]
			h.shareAll(shared[who])
		}
		f.step(f.rand.IntN(4))
	}
	for i, h := range f.hosts {
		if !shared[i] {
			h.shareAll(true)
		}
	}
	f.settle(30_000, "both have the same", func() bool {
		for _, h := range f.hosts {
			if h.keyval.Len() != len(present) || !h.counts(hits) {
				return false
			}
		}
		return true
	})
	for _, h := range f.hosts {
		for key := range gone {
			if h.get(key) != "" {
				t.Errorf("host%d has %s again", h.index, key)
			}
		}
	}
}
