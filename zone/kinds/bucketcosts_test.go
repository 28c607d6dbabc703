package kinds

import (
	"fmt"
	"testing"

	"starling/zone"
)

// TestRemoteCosts: what costs of other nodes do to a bucket, by how late they come. 1r/s; levels in 1/1000 request.
func TestRemoteCosts(t *testing.T) {
	tests := []struct {
		name                   string
		level, lastMS          int64
		requests, ageMS, nowMS int64
		burst                  int64
		want                   int64 // level at nowMS
	}{
		{"add to what is there", 2000, 0, 3, 0, 500, 10, 4500},
		{"past the burst when in time", 2000, 0, 30, 1000, 500, 10, 31500},
		{"to the burst when late", 2000, 0, 30, 1001, 500, 10, 11000},
		{"late into a bucket beyond its burst", 20000, 0, 30, 5000, 500, 10, 19500},
		{"empty bucket, no age", 0, 0, 3, 0, 60_000, 10, 3000},
		{"an empty bucket drained them on the way", 0, 0, 3, 400, 60_000, 10, 2600},
		{"but not for longer than it was empty", 2000, 0, 3, 900, 2300, 10, 2700},
		{"old ones have run out", 0, 0, 3, 50_000, 60_000, 10, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newTestBucket(1<<20, 1000)
			b.SetBurst(test.burst * request)
			now := at(test.nowMS)
			level, lastMS := b.add(test.level, at(test.lastMS).MonoMS, test.requests*request, test.ageMS, now)
			if got := level - b.drained(now.MonoMS-lastMS); got != test.want {
				t.Errorf("level %d, want %d", got, test.want)
			}
		})
	}
}

// Frames that come every millisecond must not stop a slow bucket from draining by rounding.
func TestManySmallCostsDoNotStopTheDrain(t *testing.T) {
	b := newTestBucket(1<<20, 16) // 1r/m
	level, lastMS := int64(600_000), at(0).MonoMS
	for ms := range int64(60_000) {
		level, lastMS = b.add(level, lastMS, 0, 0, at(ms))
	}
	if got := level - b.drained(at(60_000).MonoMS-lastMS); got != 600_000-960 {
		t.Errorf("level %d after a minute, want %d", got, 600_000-960)
	}
}

// The second trial, by the clock: a flood on three nodes, 20r/s, burst=20, for 6 s, lag of 2 ms.
func TestAFloodedLimitIsOneLimit(t *testing.T) {
	for _, trial := range []struct{ rate, burst int64 }{{20_000, 20}, {100_000, 0}} {
		nodes := [3]*node{newNode(t, 1), newNode(t, 2), newNode(t, 3)}
		for _, n := range nodes {
			n.zone.SetRate(trial.rate, at(0))
			n.zone.SetBurst(trial.burst * request)
		}
		passed := int64(0)
		for ms := range int64(6000) {
			for _, n := range nodes {
				for range 2 {
					if _, verdict := n.zone.Account([]byte("hot"), at(ms), trial.burst*request); verdict == Passed {
						passed++
					}
				}
			}
			for _, n := range nodes {
				n.zone.Flush(at(ms))
			}
			for _, n := range nodes {
				for _, to := range nodes {
					if n != to {
						n.pushAt(t, to, 1, ms)
					}
				}
			}
		}
		want := trial.rate*6/1000 + trial.burst + 1
		if passed < want*97/100 || passed > want*103/100 {
			t.Errorf("rate %d, burst %d: %d passed, want about %d", trial.rate, trial.burst, passed, want)
		}
	}
}

func (n *node) pushAt(t testing.TB, to *node, ageMS, ms int64) {
	n.sent[to] = deliver(t, n.name, n.zone, to.zone, n.sent[to], ageMS, at(ms))
}

func TestSeveralLimitsChargeOnlyWhenAllPass(t *testing.T) {
	first, second := newTestBucket(1<<20, 1000), newTestBucket(1<<20, 1000)
	key := []byte("k")
	second.Account(key, at(0), 0)
	if _, verdict := first.Look(key, at(0), 0); verdict != Passed {
		t.Fatal("a new key does not pass")
	}
	if _, verdict := second.Account(key, at(0), 0); verdict != Rejected {
		t.Fatal("the second limit passed")
	}
	if records := first.Stats().Records; records != 0 {
		t.Errorf("looking left %d records", records)
	}
	first.Charge(key, at(0))
	if excess, verdict := first.Look(key, at(500), 0); verdict != Rejected || excess != 500 {
		t.Errorf("excess %d, verdict %d after charging", excess, verdict)
	}
}

func TestCrossingTheLimitIsUrgent(t *testing.T) {
	b := newTestBucket(1<<20, 1000)
	var calls []bool
	b.OnDirty(func(urgent bool) { calls = append(calls, urgent) })
	for range 5 {
		b.Account([]byte("k"), at(0), 2000)
	}
	if fmt.Sprint(calls) != "[false true]" {
		t.Errorf("woken as %v, want once when dirty and once when full", calls)
	}
	if b.Flush(at(0)); b.Journal().Head() != 2 {
		t.Errorf("hot keys did not coalesce: head %d", b.Journal().Head())
	}
}

func TestRejectedRequestsSendNothing(t *testing.T) {
	b := newTestBucket(1<<20, 1000)
	b.Account([]byte("k"), at(0), 0)
	b.Flush(at(0))
	for range 100 {
		b.Account([]byte("k"), at(1), 0)
	}
	if moved := b.Flush(at(1)); moved != 0 {
		t.Errorf("%d records sent for rejected requests", moved)
	}
}

func TestAZoneWithoutSyncKeepsNoJournal(t *testing.T) {
	b := NewBucket(BucketConfig{Name: "one", Bytes: 1 << 20, RateMilli: 1000})
	b.OnDirty(func(bool) { t.Error("woken") })
	for i := range 100 {
		b.Account(fmt.Append(nil, i), at(0), 0)
	}
	if b.Stats().Pending != 0 || b.Flush(at(0)) != 0 || b.Journal().Head() != zone.FirstSequence {
		t.Errorf("stats %+v", b.Stats())
	}
}

func TestIdleBucketsAreSwept(t *testing.T) {
	b := NewBucket(BucketConfig{Name: "one", Bytes: 1 << 20, RateMilli: 1000})
	for i := range 1000 {
		b.Account(fmt.Append(nil, i), at(0), 0)
	}
	b.Tick(at(idleMS - 1))
	if n := b.Stats().Records; n != 1000 {
		t.Errorf("%d records left before they are idle", n)
	}
	b.Tick(at(idleMS))
	if stats := b.Stats(); stats.Records != 0 || stats.Bytes != 0 {
		t.Errorf("%+v left", stats)
	}
}
