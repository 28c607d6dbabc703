package cluster

import (
	"fmt"
	"testing"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// A deletion is forgotten and who made it has lost its journal. The frame with what was deleted is still in the ring of
// who wrote it: a node that starts does not get it.
func TestOutdatedFramesAreNotForLatecomers(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.hosts[0].set("deleted", "x")
	f.step(50)
	if err := f.hosts[1].keyval.Delete([]byte("deleted"), f.hosts[1].reading()); err != nil {
		t.Fatal(err)
	}
	f.step(50)
	for _, h := range f.hosts {
		if h.keyval.ForgetThrough(h.reading().WallMS, h.reading().MonoMS) != 1 {
			t.Fatal("there is no tombstone to forget")
		}
	}
	f.hosts[0].set("later", "y")
	f.step(50)
	f.hosts[1].crash()
	f.hosts[1].start()
	f.hosts[1].know(2)
	f.settle(8000, "ready", f.ready)
	f.step(3 * digestEveryMS)
	for _, h := range f.hosts {
		if got := h.get("deleted"); got != "" {
			t.Errorf("host %d has what was deleted: %q", h.index, got)
		}
		if got := h.get("later"); got != "y" {
			t.Errorf("host %d lacks what was written later: %q", h.index, got)
		}
	}
}

// A deletion is forgotten while a host is cut off for a moment, too short for an agreement to tell what was deleted. The frame that has it is outdated: who
// comes back gets no pair of it, but the deletion.
func TestDeletionsInOutdatedFramesAreToldWhoComesBack(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.hosts[0].set("deleted", "x")
	f.hosts[0].set("stays", "x")
	f.step(50)
	f.block(0, 1)
	if err := f.hosts[0].keyval.Delete([]byte("deleted"), f.hosts[0].reading()); err != nil {
		t.Fatal(err)
	}
	f.hosts[0].set("written", "y")
	f.step(50)
	if f.hosts[0].keyval.ForgetThrough(f.hosts[0].reading().WallMS, f.hosts[0].reading().MonoMS) != 1 {
		t.Fatal("there is no tombstone to forget")
	}
	clear(f.blocked)
	f.step(3*digestEveryMS + freshMS)
	for _, h := range f.hosts {
		for key, want := range map[string]string{"deleted": "", "stays": "x", "written": "y"} {
			if got := h.get(key); got != want {
				t.Errorf("host %d has %q of %s, want %q", h.index, got, key, want)
			}
		}
	}
}

// A peer sends a pair by repair, or teaches it, while the deletion of the pair is in flight to it. The tombstone is
// evicted before the pair arrives, on nodes that have been connected all the time: the pair is in doubt for as long as a
// deletion may be in flight. That is longer if it may wait on a stalled connection of the peer with a third member. If
// tombstones are evicted within seconds all the time, a pair that the peer keeps sending is taken after a minute.
func TestAPairSentWhileItsDeletionIsInFlightIsInDoubt(t *testing.T) {
	const pauseMS = 4000 // of the peer between two repairs, at most
	for _, test := range []struct {
		name    string
		burstMS int // for how long deletions continue
		limitMS int // when the pair is taken
		taught  bool
		members int
	}{
		{"a burst of deletions", 0, calmMS, false, 2}, {"deletions without end", 2 * calmAtLastMS, calmAtLastMS, false, 2},
		{"taught in a burst", 0, calmMS, true, 2}, {"taught without end", 2 * calmAtLastMS, calmAtLastMS, true, 2},
		{"a third has it, too", 0, calmMS + int(Defaults.TimeoutMS), false, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFabric(t, 0)
			f.keyvalBytes, f.tombstoneBytes = 32<<10, 4<<10
			here, peer := f.add(), f.add()
			for range test.members - 2 {
				f.add()
			}
			for _, h := range f.hosts {
				h.know(test.members)
			}
			f.settle(1000, "ready", f.ready)
			f.step(calmMS + 1000)
			here.set("pair", "x")
			sent := here.repairOf("pair")
			here.remove("pair")
			here.churn(1000) // more deletions than there is room for
			session := here.node.peers[peer.node.id].in[peer.life]
			nextMS := int64(pauseMS)
			mend := func() {
				session.mu.Lock()
				defer session.mu.Unlock()
				session.takeRecords(t, "pair", sent, test.taught, here.reading())
				if iz, err := session.zone(0); err == nil && test.taught { // as if it had asked for it, again in vain
					iz.mending.sent = 1
					session.repairDone(iz, here.reading())
					nextMS = iz.mending.pauseMS
				}
			}
			begunMS := f.now.MonoMS
			for mend(); here.get("pair") == ""; mend() {
				// without a step, so that the nodes do not agree meanwhile: then the pair would count as deleted
				if f.now = f.now.Add(ms(nextMS)); f.now.MonoMS <= begunMS+int64(test.burstMS) {
					here.churn(1000)
				}
				if f.now.MonoMS > begunMS+int64(test.limitMS)+pauseMS {
					t.Fatalf("the pair is still in doubt after %d ms", f.now.MonoMS-begunMS)
				}
			}
			if tookMS := f.now.MonoMS - begunMS; tookMS < int64(test.limitMS) {
				t.Errorf("the pair is back after %d ms, want it in doubt for %d ms", tookMS, test.limitMS)
			}
		})
	}
}

// After tombstones were evicted, a lost member may alone have a deletion. So records that others send are in doubt while
// it is away, however long these have been connected; but for a minute at most, also if it is lost again and again.
func TestALostMemberDelaysRecordsForAMinuteAtMost(t *testing.T) {
	for _, test := range []struct {
		name        string
		connectedMS int // for how long all are connected before
		flaps       bool
	}{
		{"it stays away", 0, false}, {"it stays away after a long time", calmAtLastMS + calmMS, false},
		{"it comes and goes", 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFabric(t, 0)
			bytes := f.keyvalBytes
			f.keyvalBytes, f.tombstoneBytes = 32<<10, 4<<10
			here := f.add()
			f.keyvalBytes, f.tombstoneBytes = bytes, 0
			peer, other := f.add(), f.add()
			for _, h := range f.hosts {
				h.know(3)
			}
			f.settle(1000, "ready", f.ready)
			f.step(test.connectedMS)
			here.churn(1000) // more deletions than there is room for
			session := here.node.peers[peer.node.id].in[peer.life]
			doubts := func() bool { // of records that the peer sends at this moment
				session.mu.Lock()
				defer session.mu.Unlock()
				iz, err := session.zone(0)
				if err != nil {
					t.Fatal(err)
				}
				trust := session.trust(iz, here.keyval, here.reading())
				if trust.Doubts {
					iz.mending.doubt(here.reading())
				}
				return trust.Doubts
			}
			lose := func() {
				f.block(here.index, other.index)
				f.block(peer.index, other.index)
			}
			lose()
			f.step(2 * calmMS)
			if !doubts() {
				t.Fatal("records are not in doubt although a member is lost")
			}
			begunMS := f.now.MonoMS
			for seconds := 1; doubts(); seconds++ {
				f.step(1000)
				switch {
				case !test.flaps:
				case seconds%8 == 4:
					clear(f.blocked)
				case seconds%8 == 0:
					lose()
				}
				if f.now.MonoMS-begunMS > calmAtLastMS+2000 {
					t.Fatal("records are still in doubt after a minute")
				}
			}
			if test.flaps && f.now.MonoMS-begunMS < calmAtLastMS-2*calmMS {
				t.Errorf("records are taken after %d ms, while a member comes and goes", f.now.MonoMS-begunMS)
			}
			if session.Ended() != nil {
				t.Error("the peer's connection did not last")
			}
		})
	}
}

// churn writes so many pairs and deletes them.
func (h *host) churn(pairs int) {
	for n := range pairs {
		key := fmt.Sprint("churn", n)
		h.set(key, "x")
		h.remove(key)
		if n%20 == 0 {
			h.keyval.Flush(h.f.now)
		}
	}
	if h.keyval.GaveUpMS() < h.f.now.WallMS {
		h.f.t.Fatal("no deletion of this moment is evicted")
	}
}

// takeRecords merges records of the peer's first zone that arrive by repair, or taught.
func (s *Session) takeRecords(t *testing.T, key string, records []byte, taught bool, now clock.Reading) {
	t.Helper()
	merge, frame := s.mend, wire.Frame{Type: wire.TypeRepair, Body: wire.AppendRepairHead(nil, 0)}
	if taught {
		shard := uint8(zone.ShardOf(zone.KeyHash([]byte(key))))
		merge, frame = s.teach, wire.Frame{Type: wire.TypeTeach, Body: wire.AppendTeachHead(nil, 0, shard, true)}
	}
	frame.Body = append(frame.Body, records...)
	if err := merge(frame, now); err != nil {
		t.Fatal(err)
	}
}

// repairOf is what repair sends of a pair.
func (h *host) repairOf(key string) []byte {
	shard := zone.ShardOf(zone.KeyHash([]byte(key)))
	payload, _, _ := h.keyval.TeachShard(shard, 0, nil, 1<<20, h.node.ClusterTime(h.reading()))
	return payload
}

func (h *host) remove(key string) {
	if err := h.keyval.Delete([]byte(key), h.node.ClusterTime(h.reading())); err != nil {
		h.f.t.Fatalf("delete %s: %v", key, err)
	}
}
