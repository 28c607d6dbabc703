package kinds

import (
	"strings"
	"testing"

	"starling/zone"
)

// What was decided elsewhere counts up to a full bucket, here and at the other nodes, and drains like all else.
func TestRequestsThatWereDecidedElsewhere(t *testing.T) {
	b, peer, key := newTestBucket(1<<20, 1000), newTestBucket(1<<20, 1000), []byte("key")
	b.SetBurst(4 * request)
	peer.SetBurst(4 * request)
	for _, test := range []struct{ requests, ms, want int64 }{
		{0, 0, 0}, {2, 0, 2000}, {1, 500, 2500}, {9, 500, 5500}, {9, 500, 5500}, {0, 1500, 4500}, {-1, 1500, 4500}, {9, 9000, 5000},
	} {
		if b.Spend(key, test.requests, at(test.ms)); b.LevelMilli(key, at(test.ms)) != test.want {
			t.Errorf("%d more at %d ms: level %d, want %d", test.requests, test.ms, b.LevelMilli(key, at(test.ms)), test.want)
		}
	}
	b.Flush(at(9000))
	deliver(t, 1, b, peer, 0, 0, at(9000))
	if got := peer.LevelMilli(key, at(9000)); got < 5000 {
		t.Errorf("the other node has level %d", got)
	}
	if _, verdict := b.Account(key, at(9000), 4*request); verdict != Rejected {
		t.Error("a request passes a full bucket")
	}
	b.Spend(nil, 1, at(9000))
	b.Spend(make([]byte, zone.MaxKeyBytes+1), 1, at(9000))
	if got := b.Stats().Records; got != 1 {
		t.Errorf("%d records", got)
	}
}

// Long keys are found by their length.
func TestLongKeys(t *testing.T) {
	b := newTestBucket(1<<20, 1000)
	for _, n := range []int{1, 64, 65, 1000} {
		b.Account([]byte(strings.Repeat("k", n)), at(0), 0)
	}
	found := map[int]bool{}
	b.LongKeys(64, func(key []byte) { found[len(key)] = true })
	if len(found) != 2 || !found[65] || !found[1000] {
		t.Errorf("found %v", found)
	}
}
