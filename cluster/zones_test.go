package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"starling/cluster/wire"
	"starling/zone"
	"starling/zone/kinds"
)

// reload gives a host other zones.
func (h *host) reload(zones ...zone.Shared) {
	h.f.t.Helper()
	err := h.node.Reload(Config{ID: h.node.id, Incarnation: h.life, Zones: zones, Driver: h}, h.reading())
	if err != nil {
		h.f.t.Fatal(err)
	}
}

func extraZone(name string) *kinds.Keyval {
	return kinds.NewKeyval(kinds.KeyvalConfig{Name: name, Expression: "type=string", Bytes: 1 << 20, Sync: true})
}

// serials are the sessions that a host has: the same ones as long as no connection was made anew.
func (h *host) serials() (list []uint64) {
	for _, s := range h.node.all() {
		list = append(list, s.serial)
	}
	return list
}

func (f *fabric) value(k *kinds.Keyval, h *host, key string) string {
	value, _ := k.Get([]byte(key), h.reading())
	return string(value)
}

// counts says whether a host counts so many requests, some of the last of which has drained.
func (h *host) counts(requests int64) bool {
	got := h.excess("client")
	return got == requests || got == requests-1
}

// problems are the lines that an operator should not read in a rollout.
func (h *host) problems() (lines []string) {
	for _, e := range h.events {
		if e.Kind >= Warning {
			lines = append(lines, e.Text)
		}
	}
	return lines
}

// A new zone goes from node to node: no connection is made anew, nothing looks like an error, and what was written
// meanwhile gets everywhere.
func TestAZoneIsAddedOnConnectionsThatStand(t *testing.T) {
	f := newFabric(t, 4)
	f.settle(1000, "ready", f.ready)
	f.step(3000)
	before, added := make([][]uint64, 4), make([]*kinds.Keyval, 4)
	for i, h := range f.hosts {
		before[i], added[i] = h.serials(), extraZone("new")
	}
	for i, h := range f.hosts {
		h.set("key", fmt.Sprint("before", i))
		h.reload(append(h.zones(), added[i])...)
		if err := added[i].Set(fmt.Append(nil, "of", i), []byte("1"), kinds.NoExpire, h.reading()); err != nil {
			t.Fatal(err)
		}
		h.hit("client", 1)
		f.settle(100, "ready", f.ready)
		for _, other := range f.hosts[:i+1] {
			for k := range i {
				if f.value(added[other.index], other, fmt.Sprint("of", k)) != "1" {
					t.Errorf("host%d is ready and lacks what host%d wrote", other.index, k)
				}
			}
		}
	}
	f.settle(50, "everybody has everything", func() bool {
		for i, h := range f.hosts {
			for k := range f.hosts {
				if f.value(added[i], h, fmt.Sprint("of", k)) != "1" || h.get("key") != "before3" || !h.counts(4) {
					return false
				}
			}
		}
		return true
	})
	f.step(rolloutMS + 1000)
	for i, h := range f.hosts {
		if after := h.serials(); !slices.Equal(before[i], after) {
			t.Errorf("host%d had connections %v and has %v", i, before[i], after)
		}
		if lines := h.problems(); lines != nil {
			t.Errorf("host%d says %q", i, lines)
		}
		if status := h.node.Status(h.reading()); !status.Agree || len(status.Peers[0].Mismatches) > 0 {
			t.Errorf("host%d shows %+v", i, status)
		}
	}
}

// A zone that one node no longer has is left alone there, comes back as what it was or as another life of it, and
// counts once.
func TestAZoneGoesAndComesBackOnConnectionsThatStand(t *testing.T) {
	f := newFabric(t, 3)
	f.settle(1000, "ready", f.ready)
	h := f.hosts[1]
	before := h.serials()
	f.hosts[0].hit("client", 2)
	f.step(20)
	h.reload(h.session)
	f.hosts[0].set("key", "while away")
	f.hosts[2].hit("client", 3)
	f.step(50)
	if got := h.get("key"); got != "" {
		t.Errorf("a zone that is not shared is written to: %q", got)
	}
	h.reload(h.zones()...) // the same objects, in another life of the journal
	f.settle(100, "ready", f.ready)
	f.hosts[0].hit("client", 4)
	f.settle(200, "it is caught up", func() bool { return h.get("key") == "while away" && h.counts(9) })
	h.bucket = kinds.NewBucket(kinds.BucketConfig{Name: "lim", Expression: "$remote_addr", Bytes: 8 << 20, RateMilli: testRateMilli, Sync: true})
	h.bucket.SetBurst(testBurstMilli)
	f.hosts[2].hit("client", 1)
	h.reload(h.zones()...) // frames of the zone before are on their way
	f.hosts[0].hit("client", 1)
	f.settle(200, "a new life is taught", func() bool { return f.ready() && h.counts(11) })
	h.hit("client", 2)
	f.step(50)
	for _, other := range f.hosts {
		if !other.counts(13) {
			t.Errorf("host%d counts %d", other.index, other.excess("client"))
		}
	}
	if after := h.serials(); !slices.Equal(before, after) {
		t.Errorf("it had connections %v and has %v", before, after)
	}
}

// Both sides of a connection change their zones in the same moment, over and over.
func TestChangesOfZonesCross(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	for round := range 400 {
		for _, h := range f.hosts {
			zones := h.zones()
			if drop := f.rand.IntN(5); drop < 3 {
				zones = slices.Delete(zones, drop, drop+1)
			}
			h.set("key", fmt.Sprint(round))
			h.hit("client", 1)
			h.reload(zones...)
		}
		f.step(f.rand.IntN(4))
	}
	for _, h := range f.hosts {
		h.reload(h.zones()...)
	}
	f.settle(AloneMS+1000, "ready", f.ready)
	f.settle(3000, "they agree", f.agree)
	for _, h := range f.hosts {
		if lost := h.said("lost"); lost != nil || len(h.problems()) > 0 {
			t.Errorf("host%d: %q, %q", h.index, lost, h.problems())
		}
	}
}

// A release before is told in the old way: by another connection.
func TestAnOlderPeerIsConnectedWithAnew(t *testing.T) {
	f := newFabric(t, 2)
	f.hosts[1].crash()
	f.hosts[1].withhold = wire.FeatureZones
	f.hosts[1].start()
	f.hosts[1].know(2)
	f.settle(AloneMS+1000, "ready", f.ready)
	before := f.hosts[0].serials()
	for _, h := range f.hosts {
		h.reload(append(h.zones(), extraZone("new"))...)
	}
	if f.hosts[0].node.Tick(f.now); f.hosts[0].node.Ready() {
		t.Error("a zone is ready before the others could be asked for it")
	}
	f.settle(100, "ready", f.ready)
	f.step(20)
	if after := f.hosts[0].serials(); len(after) != 2 || slices.Equal(before, after) {
		t.Errorf("connections %v became %v", before, after)
	}
	if status := f.hosts[0].node.Status(f.now); len(status.Peers[0].Mismatches) > 0 {
		t.Errorf("it is told that %q", status.Peers[0].Mismatches)
	}
}

// What is no matter of a rollout is an error, told once.
func TestAMismatchThatLastsIsAnError(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.hosts[0].reload(append(f.hosts[0].zones(), extraZone("new"))...)
	count := func() (n int) {
		for _, e := range f.hosts[1].events {
			if e.Kind == Problem && strings.Contains(e.Text, `zone "new" is shared on the peer but not on this node, for 1m0s: `) {
				n++
			}
		}
		return n
	}
	if f.step(rolloutMS - 1000); count() != 0 {
		t.Error("it is an error at once")
	}
	if f.step(5000); count() != 1 {
		t.Errorf("it is told %d times", count())
	}
}

// Whoever has a connection may say what it likes about indexes.
func TestWrongIndexesEndTheConnection(t *testing.T) {
	for name, frame := range map[string]struct {
		t    wire.Type
		body []byte
	}{
		"takes away what it never named": {wire.TypeZones, (&wire.Zones{Removed: []uint64{3}}).Append(nil)},
		"names too many":                 {wire.TypeZones, (&wire.Zones{Added: make([]wire.Zone, wire.MaxZones)}).Append(nil)},
		"stops what was never named":     {wire.TypeShares, (&wire.Shares{Stopped: []uint64{3}}).Append(nil)},
		"resumes what was never named":   {wire.TypeShares, (&wire.Shares{Resumes: []wire.Resume{{Zone: 3}}}).Append(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFabric(t, 2)
			f.settle(1000, "ready", f.ready)
			for _, s := range f.hosts[0].node.all() {
				if s.Outgoing == (frame.t == wire.TypeZones) {
					s.send(frame.t, frame.body)
				}
			}
			f.step(5)
			status := f.hosts[1].node.Status(f.now)
			if status.Peers[0].Losses != 1 || !strings.Contains(status.Peers[0].LastError, "zone") {
				t.Errorf("%d connections ended: %q", status.Peers[0].Losses, status.Peers[0].LastError)
			}
		})
	}
}
