package kinds

import (
	"fmt"
	"testing"

	"starling/lib/clock"
	"starling/zone"
)

// TestWhatIsAskedKeepsItsPlace asks for one key now and then while 300,000 others pass through a full zone of 1m, at
// rates from a few keys a millisecond to all of them in one: the bucket is never forgotten, though each of its requests
// is rejected.
func TestWhatIsAskedKeepsItsPlace(t *testing.T) {
	const others, everyOther = 300_000, 8_000
	for _, keysPerMS := range []int{20, 1000, 5000, others} {
		for keyBytes, ask := range map[int]func(b *Bucket, key []byte, now clock.Reading) Verdict{
			16: func(b *Bucket, key []byte, now clock.Reading) Verdict { _, v := b.Account(key, now, 0); return v },
			60: func(b *Bucket, key []byte, now clock.Reading) Verdict { _, v := b.Look(key, now, 0); return v },
		} {
			t.Run(fmt.Sprintf("%d keys of %d bytes per ms", keysPerMS, keyBytes), func(t *testing.T) {
				b := NewBucket(BucketConfig{Name: "one", Bytes: 1 << 20, RateMilli: 16})
				key := fmt.Appendf(nil, "%-*s", keyBytes, "client")
				if _, verdict := b.Account(key, at(0), 0); verdict != Passed {
					t.Fatal("the first request is not let pass")
				}
				for i := 1; i <= others; i++ {
					now := at(int64(i / keysPerMS))
					if _, verdict := b.Account(fmt.Appendf(nil, "%0*d", keyBytes, i), now, 0); verdict != Passed {
						t.Fatalf("key %d: %v", i, verdict)
					}
					if i%everyOther == 0 && ask(b, key, now) != Rejected {
						t.Fatalf("forgotten after %d keys", i)
					}
				}
				if b.Stats().Evicted == 0 {
					t.Error("the zone was never full")
				}
			})
		}
	}
}

// TestAZoneKeepsTheOrderOfUseOverAReload reloads into a smaller zone: what was asked last is what goes last.
func TestAZoneKeepsTheOrderOfUseOverAReload(t *testing.T) {
	old := NewBucket(BucketConfig{Name: "one", Bytes: 1 << 20, RateMilli: 16})
	sh := old.store.ShardNumber(0)
	var keys [][]byte
	for i := 0; len(keys) < 3; i++ {
		if key := fmt.Append(nil, i); old.store.Shard(zone.KeyHash(key)) == sh {
			keys = append(keys, key)
			old.Account(key, at(0), 5000)
		}
	}
	old.Account(keys[0], at(1), 0) // rejected
	reload(old, 1<<19, false, 2)
	to := old.store.ShardNumber(0)
	var got []string
	for slot := to.Oldest(); slot != 0; slot = to.Newer(slot) {
		got = append(got, string(to.Key(to.At(slot))))
	}
	if want := fmt.Sprintf("[%s %s %s]", keys[1], keys[2], keys[0]); fmt.Sprint(got) != want {
		t.Errorf("the order is %v, want %s", got, want)
	}
}
