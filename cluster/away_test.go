package cluster

import (
	"fmt"
	"testing"
	"time"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
	"starling/zone/kinds"
)

// A zone with state goes on under the lineage of its log, tells it in the hello, and knows with whom it agreed. One
// that starts empty begins a lineage of its own, which is its origin and need not be told.
func TestLineageOutlivesTheProcess(t *testing.T) {
	f := newFabric(t, 1)
	var log [][]byte
	kept := func(record []byte) { log = append(log, record) }
	first := kinds.NewKeyval(kinds.KeyvalConfig{Name: "kv", Bytes: 1 << 20, Sync: true})
	first.OnCommit(func(record []byte) (func() error, error) { kept(record); return func() error { return nil }, nil }, kept)
	start := func(k *kinds.Keyval, life uint64) *Node {
		n, err := New(Config{ID: 7, Incarnation: life, Zones: []zone.Shared{k}, Driver: f.hosts[0]}, f.now)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	told := func(n *Node) wire.Zone { return n.hello(n.table.Load(), f.now).Zones[0] }

	one := told(start(first, 1))
	if one.Lineage != 0 || lineageOf(&one) != one.Origin {
		t.Errorf("a zone that starts empty tells the lineage %x, its origin is %x", one.Lineage, one.Origin)
	}
	first.KeepAgreed(zone.Agreement{Lineage: 99, ThroughMS: 1234})

	again := kinds.NewKeyval(kinds.KeyvalConfig{Name: "kv", Bytes: 1 << 20, Sync: true})
	for _, record := range log {
		if err := again.Restore(record, new(kinds.Restored), f.now); err != nil {
			t.Fatal(err)
		}
	}
	n := start(again, 2)
	two := told(n)
	if two.Origin == one.Origin || two.Lineage != one.Origin {
		t.Errorf("its next life is origin %x of lineage %x; the first was origin %x", two.Origin, two.Lineage, one.Origin)
	}
	body := wire.Hello{NodeID: 7, Incarnation: 2, Zones: []wire.Zone{two}}
	if h, err := wire.ParseHello(body.Append(nil)); err != nil || lineageOf(&h.Zones[0]) != one.Origin {
		t.Errorf("a peer reads %+v, %v", h.Zones, err)
	}
	if a := n.agreements[agreementKey{"kv", 99}]; a.throughMS != 1234 || a.mine != one.Origin {
		t.Errorf("it recalls %+v", a)
	}
}

// A zone with state was apart from another since they were noted to agree, not since the time through which they agreed:
// that is of the slowest clock. Where a release before noted it, only that time is known.
func TestTheSlowestClockDoesNotTellHowLongZonesWereApart(t *testing.T) {
	const hourMS = 3_600_000
	f := newFabric(t, 1)
	nowMS := f.now.WallMS
	for name, of := range map[string]struct {
		kept    zone.Agreement
		apartMS int64
	}{
		"all clocks agree":            {zone.Agreement{ThroughMS: nowMS - 9000, NotedMS: nowMS - 5000}, 5000},
		"a clock is two hours behind": {zone.Agreement{ThroughMS: nowMS - 2*hourMS, NotedMS: nowMS - 5000}, 5000},
		"apart for two hours":         {zone.Agreement{ThroughMS: nowMS - 3*hourMS, NotedMS: nowMS - 2*hourMS}, 2 * hourMS},
		"of a release before":         {zone.Agreement{ThroughMS: nowMS - 2*hourMS}, 2 * hourMS},
	} {
		k := kinds.NewKeyval(kinds.KeyvalConfig{Name: "kv", Bytes: 1 << 20, Sync: true})
		k.SetOrigin(3)
		of.kept.Lineage = 99
		k.KeepAgreed(of.kept)
		n, err := New(Config{ID: 7, Incarnation: 1, Zones: []zone.Shared{k}, Driver: f.hosts[0]}, f.now)
		if err != nil {
			t.Fatal(err)
		}
		z := n.table.Load().list[0]
		if apartMS := n.apartMS(z, 99, f.now); apartMS != of.apartMS {
			t.Errorf("%s: apart for %d ms, not %d", name, apartMS, of.apartMS)
		}
		want := int64(nothingGone)
		if of.apartMS > hourMS {
			want = of.kept.ThroughMS
		}
		for side, gone := range map[string]func(*zoneState, zone.Comparable, uint64, clock.Reading) int64{
			"here": n.goneHere, "there": n.goneThere,
		} {
			if got := gone(z, k, 99, f.now); got != want {
				t.Errorf("%s: what is missing %s and was written until %d counts as deleted, not until %d", name, side, got, want)
			}
		}
	}
}

// Host 1 deleted what host 0 holds, longer ago than tombstones live. Host 0 is the one that compares, so host 1 takes
// the difference apart and tells host 0 what to delete.
func TestAcceptorIsToldWhatWasDeleted(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	const day = 24 * 3600 * 1000
	if err := f.hosts[0].keyval.Set([]byte("old"), []byte("x"), day, f.hosts[0].node.ClusterTime(f.now)); err != nil {
		t.Fatal(err)
	}
	f.step(20_000)
	f.blocked[pair(0, 1)] = true
	for _, p := range f.pipes {
		f.cut(p)
	}
	f.hosts[1].keyval.Resize(2, 256)
	if err := f.hosts[1].keyval.Delete([]byte("old"), f.hosts[1].node.ClusterTime(f.now)); err != nil {
		t.Fatal(err)
	}
	for i := range 10 { // the tombstone's frame is gone
		f.hosts[1].set("new", fmt.Sprint(i))
		f.step(5)
	}
	f.now = f.now.Add(2 * time.Hour)
	f.step(200)
	f.hosts[0].members = nil // it dials nobody, so it compares
	f.blocked = map[[2]int]bool{}
	f.settle(8000, "deleted", func() bool { return f.hosts[0].get("old") == "" && f.hosts[1].get("old") == "" })
	if len(f.hosts[0].said("that it had deleted")) == 0 {
		t.Error("host 0 was not told")
	}
}

// TestWhatIsNotOldIsSent: one host lacks a record whose stamp was lowered below the time through which both held the
// same. It was written later, so it was not deleted; whichever host has it, the other one gets it.
func TestWhatIsNotOldIsSent(t *testing.T) {
	for holder := range 2 {
		t.Run(fmt.Sprint("host ", holder, " has it"), func(t *testing.T) {
			f := newFabric(t, 2)
			f.settle(1000, "ready", f.ready)
			f.step(20_000)
			f.block(0, 1)
			f.now = f.now.Add(2 * time.Hour)
			f.step(200)
			h := f.hosts[holder]
			h.keyval.Resize(2, 256)
			fromMS := h.node.ClusterTime(f.now).WallMS
			h.set("late", "x")
			h.keyval.TimeWentBack(fromMS, 3*time.Hour.Milliseconds(), h.node.ClusterTime(f.now))
			for i := range 10 { // their frames displace its own
				h.set("new", fmt.Sprint(i))
				f.step(5)
			}
			clear(f.blocked)
			f.settle(10_000, "agreeing", f.agree)
			for i, other := range f.hosts {
				if got := other.get("late"); got != "x" {
					t.Errorf("late is %q at host %d", got, i)
				}
			}
			f.settle(3*digestEveryMS, "shown to agree", f.shown)
		})
	}
}

// An origin is one life of one zone on one node: it differs wherever one of these does.
func TestOriginsDiffer(t *testing.T) {
	origins := map[zone.Origin]string{originOf(1, 1, "one", 1): "the first"}
	for name, origin := range map[string]zone.Origin{
		"another node":           originOf(2, 1, "one", 1),
		"another start":          originOf(1, 2, "one", 1),
		"the zone began again":   originOf(1, 1, "one", 2),
		"another zone":           originOf(1, 1, "two", 1),
		"node and start changed": originOf(2, 2, "one", 1),
		"start and zone swapped": originOf(1, 2, "one", 0),
	} {
		if same, taken := origins[origin]; taken {
			t.Errorf("%s has the origin of %s", name, same)
		}
		origins[origin] = name
	}
}

// Host 1's clock is days behind that of host 0, and neither follows the other. What host 1 writes after the two agreed
// is stamped before that; all the same host 0, which lacks it, has not deleted it.
func TestWhatASlowClockWritesIsNotOld(t *testing.T) {
	const dayMS = 24 * 3600 * 1000
	f := newFabric(t, 2)
	f.hosts[1].crash()
	f.hosts[1].skewMS = -4 * dayMS
	f.hosts[1].start()
	f.hosts[1].know(2)
	f.settle(8000, "ready", f.ready)
	f.step(20_000)
	through := int64(0)
	for _, a := range f.hosts[0].node.agreements {
		through = max(through, a.throughMS)
	}
	if through == 0 {
		t.Fatal("host 0 remembers no agreement")
	}
	f.blocked[pair(0, 1)] = true
	for _, p := range f.pipes {
		f.cut(p)
	}
	f.hosts[1].keyval.Resize(2, 256)
	for i := range 10 { // the first frames are gone: "late" has to come by repair
		for key, value := range map[string]string{"late": "x", "new": fmt.Sprint(i)} {
			if i > 0 && key == "late" {
				continue
			}
			if err := f.hosts[1].keyval.Set([]byte(key), []byte(value), dayMS, f.hosts[1].reading()); err != nil {
				t.Fatal(err)
			}
		}
		f.step(5)
	}
	f.now = f.now.Add(2 * time.Hour)
	f.step(200)
	f.blocked = map[[2]int]bool{}
	f.settle(8000, "repaired", func() bool { return f.hosts[0].get("new") == "9" })
	f.step(3 * digestEveryMS)
	for _, h := range f.hosts {
		if h.get("late") != "x" {
			t.Errorf("host %d lacks what host 1 wrote after the two agreed", h.index)
		}
	}
}

// A clock that is found behind takes agreements back to what it tells, on disk too.
func TestAgreementsReachToTheSlowestClock(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.step(20_000)
	through := func(h *host) (memory, disk int64) {
		for _, a := range h.node.agreements {
			memory = max(memory, a.throughMS)
		}
		for _, a := range h.keyval.Agreed() {
			disk = max(disk, a.ThroughMS)
		}
		return memory, disk
	}
	if memory, disk := through(f.hosts[0]); memory == 0 || disk == 0 {
		t.Fatalf("agreements are through %d and %d, it is %d", memory, disk, f.now.WallMS)
	}
	f.hosts[1].skewMS = -3_600_000
	for _, p := range f.pipes {
		f.cut(p)
	}
	f.hosts[1].node.clocks = clocks{} // as a node that has started again: it follows its clock
	f.step(20_000)
	slow := f.hosts[1].reading().WallMS
	for _, h := range f.hosts {
		if memory, disk := through(h); memory > slow || disk > slow {
			t.Errorf("host %d counts what was written until %d, or %d on disk, as known to both; a clock shows %d", h.index, memory, disk, slow)
		}
	}
}

// TestAClockThatFellForAMomentLowersAnAgreement: what a member stamped while its clock was behind stays early when the
// clock is right again, so the agreement stays lowered, and one from disk, of which nothing tells when it was noted, is
// dropped. A restart does not bring it back.
func TestAClockThatFellForAMomentLowersAnAgreement(t *testing.T) {
	for _, of := range []struct{ fromDisk, restarts bool }{{}, {fromDisk: true}, {restarts: true}, {fromDisk: true, restarts: true}} {
		f := newFabric(t, 2)
		f.settle(1000, "ready", f.ready)
		f.step(60_000) // an agreement is on disk, and is not kept again without changes
		h := f.hosts[0]
		n := h.node
		if len(n.agreements) != 1 {
			t.Fatalf("%d agreements", len(n.agreements))
		}
		for key, a := range n.agreements {
			if of.fromDisk {
				a.notedMS = 0
				n.agreements[key] = a
			}
			z := n.table.Load().byName[key.zone]
			right := n.clocks.others.Load()
			fallen := []int64{(*right)[0] - 3_600_000}
			before := n.agreedThrough(z, key.lineage, h.reading())
			n.clocks.others.Store(&fallen)
			during := n.agreedThrough(z, key.lineage, h.reading())
			n.clocks.others.Store(right)
			if of.restarts {
				clear(n.agreements)
				n.recall(z)
			}
			after := n.agreedThrough(z, key.lineage, h.reading())
			if before == nothingGone || during >= before || after > during {
				t.Errorf("%+v: through %d, %d while a clock is behind, %d afterwards", of, before, during, after)
			}
			f.step(20_000)
			memory := n.agreedThrough(z, key.lineage, h.reading())
			if disk := h.keyval.Agreed()[0].ThroughMS; memory < before || disk < before {
				t.Errorf("%+v: through %d in memory and %d on disk after they agreed again", of, memory, disk)
			}
			break // agreements noted since are not of interest
		}
	}
}
