package kinds

import (
	"fmt"
	"testing"

	"starling/lib/clock"
	"starling/zone"
)

// at is a reading ms milliseconds into a test.
func at(ms int64) clock.Reading {
	return clock.Reading{WallMS: 1_800_000_000_000 + ms, MonoMS: 1_800_000_000_000 + ms}
}

func newTestBucket(bytes, rateMilli int64) *Bucket {
	return NewBucket(BucketConfig{Name: "one", Expression: "$remote_addr", Bytes: bytes, RateMilli: rateMilli, Sync: true})
}

// deliver applies all frames of one zone's journal after sequence to another zone and returns the last sequence.
func deliver(t testing.TB, from zone.Origin, source, target zone.Shared, after uint64, ageMS int64, now clock.Reading) uint64 {
	t.Helper()
	journal := source.Journal()
	for sequence := after + 1; sequence < journal.Head(); sequence++ {
		payload, _, _, ok := journal.Frame(sequence)
		if !ok {
			t.Fatalf("frame %d is no longer kept", sequence)
		}
		if _, err := target.Apply(from, sequence, payload, ageMS, now); err != nil {
			t.Fatalf("frame %d: %v", sequence, err)
		}
	}
	return journal.Head() - 1
}

func TestArithmeticIsNginxs(t *testing.T) {
	type step struct {
		ms      int64
		excess  int64
		verdict Verdict
	}
	tests := []struct {
		name       string
		rate       int64
		burstMilli int64
		steps      []step
	}{
		{"first is free, then one per second", 1000, 0, []step{
			{0, 0, Passed}, {0, 1000, Rejected}, {500, 500, Rejected}, {999, 1, Rejected}, {1000, 0, Passed}, {1001, 999, Rejected}}},
		{"burst counts beyond the first", 1000, 2000, []step{
			{0, 0, Passed}, {0, 1000, Passed}, {0, 2000, Passed}, {0, 3000, Rejected}, {1000, 2000, Passed}, {1000, 3000, Rejected}}},
		{"a rejected request moves no time", 1000, 0, []step{
			{0, 0, Passed}, {400, 600, Rejected}, {900, 100, Rejected}, {1000, 0, Passed}}},
		{"1r/m is 16, cut to milliseconds", 16, 1000, []step{
			{0, 0, Passed}, {62, 1000, Passed}, {63, 2000, Rejected}, {62 + 62, 2000, Rejected}, {62 + 63, 1999, Rejected}, {62 + 62_500, 1000, Passed}}},
		{"a clock that goes back a little stands still", 1000, 5000, []step{
			{10_000, 0, Passed}, {9_000, 1000, Passed}, {10_500, 1500, Passed}}},
		{"a clock that goes back a lot counts as a millisecond", 1000, 5000, []step{
			{100_000, 0, Passed}, {20_000, 999, Passed}, {20_500, 1499, Passed}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newTestBucket(1<<20, test.rate)
			for i, s := range test.steps {
				excess, verdict := b.Account([]byte("key"), at(s.ms), test.burstMilli)
				if excess != s.excess || verdict != s.verdict {
					t.Fatalf("step %d at %d ms: excess %d verdict %d, want %d and %d", i, s.ms, excess, verdict, s.excess, s.verdict)
				}
			}
		})
	}
}

// The first trial: 1r/m, burst=2999 nodelay, 1,000 requests on each of three nodes at once.
func TestThreeNodesCountAllRequestsOnce(t *testing.T) {
	const burst = 2999 * 1000
	key := []byte("hot")
	var nodes [3]*Bucket
	for i := range nodes {
		nodes[i] = newTestBucket(1<<20, 16)
		nodes[i].SetBurst(burst)
	}
	var sent [3][3]uint64
	swap := func(now clock.Reading) {
		for i := range nodes {
			nodes[i].Flush(now)
			for j := range nodes {
				if i != j {
					sent[i][j] = deliver(t, zone.Origin(i+1), nodes[i], nodes[j], sent[i][j], 1, now)
				}
			}
		}
	}
	for request := range 1000 {
		for i := range nodes {
			if excess, verdict := nodes[i].Account(key, at(int64(request)), burst); verdict != Passed {
				t.Fatalf("node %d refused request %d at excess %d", i, request, excess)
			}
		}
		if request%37 == 0 {
			swap(at(int64(request)))
		}
	}
	swap(at(1000))
	for i := range nodes {
		if excess, verdict := nodes[i].Account(key, at(1001), burst); verdict != Rejected {
			t.Errorf("node %d let request 3001 pass at excess %d", i, excess)
		}
	}
}

func TestManyKeysThroughASmallZone(t *testing.T) {
	b := newTestBucket(32<<10, 1000)
	for i := range 4000 {
		if _, verdict := b.Account(fmt.Appendf(nil, "10.0.%d.%d", i/256, i%256), at(int64(i)), 0); verdict != Passed {
			t.Fatalf("key %d got verdict %d", i, verdict)
		}
	}
	if stats := b.Stats(); stats.Bytes > 32<<10 || stats.Records < 250 || stats.Evicted == 0 {
		t.Errorf("stats %+v", stats)
	}
}
