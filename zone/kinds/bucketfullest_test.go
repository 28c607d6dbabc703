package kinds_test

import (
	"fmt"
	"testing"
	"time"

	"starling/lib/clock"
	"starling/zone/kinds"
)

// The fullest buckets are found among many, as full as they are at that moment; those that have drained are left out.
func TestFullest(t *testing.T) {
	now := clock.Reading{WallMS: 1_800_000_000_000, MonoMS: 1 << 32}
	b := kinds.NewBucket(kinds.BucketConfig{Name: "z", Bytes: 8 << 20, RateMilli: 1000})
	b.SetBurst(50_000)
	for i := range 2000 {
		for range 1 + i%40 {
			b.Account([]byte(fmt.Sprintf("key%04d", i)), now, 50_000)
		}
	}
	got := b.Fullest(3, now)
	if len(got) != 3 {
		t.Errorf("the fullest are %v", got)
	}
	for _, l := range got {
		if l.ExcessMilli != 40_000 {
			t.Errorf("%s has an excess of %d", l.Key, l.ExcessMilli)
		}
	}
	later := now.Add(38500 * time.Millisecond)
	if got := b.Fullest(500, later); len(got) != 100 || got[0].ExcessMilli != 1500 || got[99].ExcessMilli != 500 {
		t.Errorf("38.5 s later there are %d: %v", len(got), got[:min(2, len(got))])
	}
	if got := b.Fullest(5, now.Add(time.Minute)); len(got) != 0 {
		t.Errorf("a minute later: %v", got)
	}
	if b.BurstMilli() != 50_000 {
		t.Errorf("the burst is %d", b.BurstMilli())
	}
}
