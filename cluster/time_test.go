package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"starling/lib/clock"
	"starling/zone"
	"starling/zone/kinds"
)

func TestClusterTimeIsTheMedian(t *testing.T) {
	tests := []struct {
		name    string
		offsets []int64 // of the peers, in ms
		want    int64
	}{
		{"alone", nil, 0},
		{"two, this one behind", []int64{90_000}, 0},
		{"two, this one ahead", []int64{-40_000}, -40_000},
		{"two, too far apart to follow one another", []int64{-90_000}, 0},
		{"two of three say that this one is wrong", []int64{-3_600_000, -3_600_500}, -3_600_000},
		{"two of three, but not of one mind", []int64{-3_600_000, -7_200_000}, 0},
		{"ten years, in one voice of two", []int64{-315_360_000_000}, 0},
		{"ten years, in two voices of four", []int64{-315_360_000_000, -315_360_000_001, -20}, 0},
		{"half of six are years ahead", []int64{900_000_000_000, 900_000_000_000, 900_000_000_000, 1000, 1000}, 1000},
		{"half of six are years behind", []int64{-900_000_000_000, -900_000_000_000, -900_000_000_000, -1000, -1000}, -1000},
		{"three, one wrong", []int64{5, 3_600_000}, 0},
		{"three, this one wrong", []int64{7000, 7010}, 7000},
		{"noise", []int64{-20, -40}, 0},
		{"five", []int64{-100, 200, 300, 400}, 200},
	}
	for _, test := range tests {
		var c clocks
		for i, offset := range test.offsets {
			c.heard(fmt.Sprint(i), new(Session), offset, clock.Reading{WallMS: 500, MonoMS: 77})
		}
		if got := c.clusterTime(clock.Reading{WallMS: 1000, MonoMS: 577}).WallMS - 1000; got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// A clock that is set is no news of the peers' clocks: cluster time goes on, without waiting for their next heartbeats.
func TestClusterTimeOutlastsAJumpOfTheClock(t *testing.T) {
	const heardMS, laterMS = 10_000_000, 10_000_700
	tests := []struct {
		name    string
		offsets []int64 // of the peers, in ms
		jump    int64   // of the local clock
		want    int64   // of cluster time, against the local clock as it was
	}{
		{"alone, it is all there is", nil, 5000, 5000},
		{"an hour ahead, set right", []int64{-3_600_000, -3_600_010}, -3_600_000, -3_600_000},
		{"an hour behind, set right", []int64{3_600_000, 3_600_010}, 3_600_000, 3_600_000},
		{"right, set wrong", []int64{-10, 10}, 7_200_000, 0},
		{"right, set back", []int64{-10, 10}, -7_200_000, 0},
		{"of two, the one that is set yields", []int64{0}, -120_000, 0},
		{"of two, also where it is ahead", []int64{0}, 120_000, 0},
		{"between two others, it stays", []int64{-4000, 4000}, 1000, 0},
		{"from one end to the other", []int64{-25_000, 25_000}, 50_000, 0},
		{"of two, wrong and set right", []int64{-30_000}, -30_000, -30_000},
		{"a little", []int64{-300, 300}, 200, 200},
	}
	for _, test := range tests {
		var c clocks
		for i, offset := range test.offsets {
			c.heard(fmt.Sprint(i), new(Session), offset, clock.Reading{WallMS: heardMS, MonoMS: 77})
		}
		c.clusterTime(clock.Reading{WallMS: heardMS + 600, MonoMS: 677}) // as every tick does
		now := clock.Reading{WallMS: laterMS + test.jump, MonoMS: 777}
		if got := c.clusterTime(now).WallMS - laterMS; got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// Two clocks of three that are set alike, one after the other, are followed, by the third node too when its own is set.
func TestAMajorityOfClocksIsFollowed(t *testing.T) {
	for _, byMS := range []int64{-86_400_000, -120_000, 7000, 120_000, 86_400_000} {
		f := newFabric(t, 3)
		f.settle(1000, "ready", f.ready)
		f.step(2000)
		for i, h := range f.hosts {
			before := h.node.ClusterTime(h.reading())
			h.skewMS += byMS
			if now := h.node.ClusterTime(h.reading()); i == 0 && (now != before || h.node.Status(h.reading()).OffsetMS != -byMS) {
				t.Errorf("%d ms: the first that is set goes from %+v to %+v", byMS, before, now)
			}
			f.step(4000)
		}
		for i, h := range f.hosts {
			if got := h.node.ClusterTime(h.reading()).WallMS - f.now.WallMS; got < byMS-100 || got > byMS+100 {
				t.Errorf("set by %d ms: cluster time of host%d is %d ms ahead", byMS, i, got)
			}
		}
		if f.hosts[0].said("this node's clock was set") == nil || f.hosts[0].said("agrees with its peers' clocks again") == nil {
			t.Error("the operator is not told")
		}
	}
}

// Cluster time that goes back leaves stamps behind that peers would refuse. They are stamped anew at once, before a
// peer sees them; and what was agreed until a time that is yet to come does not count as deleted when it is written.
func TestTimeThatGoesBackLeavesNothingAhead(t *testing.T) {
	f := newFabric(t, 2)
	f.block(0, 1)
	odd := f.hosts[1]
	odd.crash()
	odd.skewMS = 86_400_000
	odd.start()
	odd.know(2)
	f.step(6000)
	odd.set("before", "x")
	odd.node.agreements[agreementKey{"kv", 7}] = agreement{throughMS: odd.reading().WallMS}
	odd.keyval.KeepAgreed(zone.Agreement{Lineage: 7, ThroughMS: odd.reading().WallMS})
	odd.skewMS = 0
	f.step(200)
	odd.set("after", "x")
	if n := odd.keyval.Reissue(odd.node.ClusterTime(odd.reading())); n != 0 {
		t.Errorf("%d records are ahead still", n)
	}
	if a := odd.node.agreements[agreementKey{"kv", 7}]; a.throughMS > odd.reading().WallMS {
		t.Errorf("it agreed until %d ms from now", a.throughMS-odd.reading().WallMS)
	}
	if a := odd.keyval.Agreed(); a[0].ThroughMS > odd.reading().WallMS {
		t.Errorf("it has kept that it agreed until %d ms from now", a[0].ThroughMS-odd.reading().WallMS)
	}
	f.part(1)
	f.settle(8000, "merged", func() bool { return f.hosts[0].get("before") == "x" && f.hosts[0].get("after") == "x" })
	if refused := f.hosts[0].keyval.Stats().Ahead; refused != 0 {
		t.Errorf("%d records were refused", refused)
	}
}

// A node whose clock is an hour ahead takes the others' time, so what it writes is accepted and does not beat later
// writes.
func TestWrongClockDoesNotPoison(t *testing.T) {
	f := newFabric(t, 3)
	f.hosts[1].skewMS = 3_600_000
	f.settle(1000, "ready", f.ready)
	f.step(2000)
	f.hosts[1].set("k", "from the wrong clock")
	f.settle(20, "accepted", func() bool { return f.hosts[0].get("k") == "from the wrong clock" })
	f.hosts[2].set("k", "later")
	f.settle(20, "replaced", func() bool { return f.hosts[1].get("k") == "later" && f.hosts[0].get("k") == "later" })
}

// What was stamped ahead before the node knew better is refused, and its sender told why; it sends it again, stamped
// right.
func TestSenderOfFutureStampsIsTold(t *testing.T) {
	f := newFabric(t, 3)
	odd := f.hosts[2]
	odd.skewMS = 600_000
	odd.set("k", "from the future")
	odd.keyval.Flush(odd.reading())
	f.settle(1000, "ready", f.ready)
	f.step(100)
	if got := f.hosts[0].get("k"); got != "from the future" {
		t.Errorf("host0 has %q", got)
	}
	f.hosts[0].set("k", "later")
	if f.step(50); odd.get("k") != "later" {
		t.Errorf("what was written later is beaten by %q", odd.get("k"))
	}
	lines := odd.said("rejected 1 record")
	if len(lines) == 0 || !strings.Contains(lines[0], "this node's clock is 10m0s ahead of the cluster") {
		t.Errorf("the sender was told %q", lines)
	}
	if lines := f.hosts[0].said(": stamped too far ahead (its clock is 10m0s ahead)"); len(lines) == 0 || strings.Contains(lines[0], "full") {
		t.Errorf("host0 says %q of what it refused", lines)
	}
}

func TestPacing(t *testing.T) {
	const us = time.Microsecond
	tests := []struct {
		name     string
		cost     time.Duration // of each flush, its writes included
		since    time.Duration // the last flush
		urgent   bool
		interval time.Duration
		want     time.Duration
	}{
		{"after a pause", 10 * us, time.Millisecond, false, time.Second, 0},
		{"cheap flushes keep the least gap", 5 * us, 100 * us, false, time.Second, 150 * us},
		{"with 14 peers", 75 * us, 0, false, time.Second, 1500 * us},
		{"urgent", 75 * us, 0, true, time.Second, 0},
		{"never more than the interval", 200 * us, 0, false, time.Millisecond, time.Millisecond},
		{"dear flushes are not put off for ever", 10 * time.Millisecond, 0, false, time.Second, maxGap},
	}
	for _, test := range tests {
		var p pacer
		p.setInterval(test.interval)
		now := time.Hour
		for range 100 {
			p.began(now)
			p.spent.Store(int64(test.cost / 2))
			p.ended(test.cost - test.cost/2)
		}
		if _, dirty := p.wait(now); dirty {
			t.Errorf("%s: dirty without a change", test.name)
		}
		p.dirty.Store(true)
		p.urgent.Store(test.urgent)
		got, dirty := p.wait(now + test.since)
		if !dirty || got.Round(10*us) != test.want {
			t.Errorf("%s: wait %v, want %v", test.name, got, test.want)
		}
	}
}

// A reload that changes zones keeps the others' counts: connections are made anew and resume where they were.
func TestReloadKeepsCountsAndAddsZones(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	for _, h := range f.hosts {
		h.hit("k", 20)
	}
	added := make([]*kinds.Keyval, 2)
	for i, h := range f.hosts {
		added[i] = kinds.NewKeyval(kinds.KeyvalConfig{Name: "new", Expression: "$x", Bytes: 1 << 20, Sync: true})
		zones := []zone.Shared{h.session, h.bucket, added[i]} // kv is gone
		config := Config{ID: h.node.id, Incarnation: h.life, Zones: zones, Driver: h, Settings: Settings{TimeoutMS: 2000}}
		if err := h.node.Reload(config, h.reading()); err != nil {
			t.Fatal(err)
		}
		h.hit("k", 5)
		f.step(10)
	}
	f.settle(AloneMS+1000, "ready", f.ready)
	if err := added[0].Set([]byte("a"), []byte("b"), 0, f.now); err != nil {
		t.Fatal(err)
	}
	f.step(20)
	for i, h := range f.hosts {
		h.checkKeys(0, 0)
		if got := h.excess("k"); got != 50 && got != 49 {
			t.Errorf("host%d counts %d, want 50", i, got)
		}
		if value, _ := added[i].Get([]byte("a"), f.now); string(value) != "b" {
			t.Errorf("host%d has %q in the new zone", i, value)
		}
		if _, still := h.node.Status(f.now).Zones["kv"]; still {
			t.Errorf("host%d still shares kv", i)
		}
	}
}

func TestReloadWithoutChangesKeepsConnections(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	before := f.pipes[0]
	h := f.hosts[0]
	if err := h.node.Reload(Config{ID: h.node.id, Incarnation: h.life, Zones: h.zones(), Driver: h}, h.reading()); err != nil {
		t.Fatal(err)
	}
	f.step(10)
	if before.closed || !before.ends[0].Established() {
		t.Error("the connection was ended")
	}
}
