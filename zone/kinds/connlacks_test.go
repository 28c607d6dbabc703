package kinds

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"starling/zone"
)

// TestWhatAZoneOfCountsLacksIsKnown: zones of counts have no digests, because none is needed to find what differs. Frames
// are lost, and counts find no room; whenever the receiver does not know of a shard that it lacks, it counts what the
// sender says of itself, frame for frame.
func TestWhatAZoneOfCountsLacksIsKnown(t *testing.T) {
	for _, bytes := range []int64{1 << 20, 32 << 10} { // the latter has room for a part of the keys
		checked, lacked, refused := 0, 0, 0
		for seed := range uint64(5) {
			r := rand.New(rand.NewPCG(seed, 5))
			a, b := newConnNode(1, 1<<20), newConnNode(2, bytes)
			b.Began(a.origin, 0, at(0))
			for ms := int64(1); ms < 150; ms++ {
				for range 1 + r.IntN(12) {
					if key := fmt.Sprint("k", r.IntN(600)); len(a.open[key]) == 0 || r.IntN(3) > 0 {
						a.enter(key, maxConns)
					} else {
						a.leave(key)
					}
				}
				if r.IntN(20) == 0 { // frames are lost, and the next one tells that
					a.sendTo(t, ms)
					b.Forfeit(a.origin, a.sent+1)
					lacked++
				}
				a.sendTo(t, ms, b)
				if r.IntN(30) == 0 {
					b.heard(ms*askAgainMS, a) // what had no room is asked for again
					a.teach(t, b, ms)
				}
				if ms%5 > 0 {
					continue
				}
				lacks := b.Lacks(a.origin)
				if b.Stats().Refused > 0 {
					refused++
				}
				for i := range 600 {
					key := fmt.Sprint("k", i)
					if hasShard(&lacks, zone.ShardOf(zone.KeyHash([]byte(key)))) {
						continue
					}
					checked++
					if got, _ := b.Count([]byte(key)); int(got) != len(a.open[key]) {
						t.Fatalf("seed %d at %d ms: %s has %d connections there, and counts as %d here, where nothing is known to be missing",
							seed, ms, key, len(a.open[key]), got)
					}
				}
			}
		}
		if checked == 0 || lacked == 0 || bytes < 1<<20 && refused == 0 {
			t.Errorf("with %d bytes: %d counts checked, frames were lost %d times, counts were refused at %d moments", bytes, checked, lacked,
				refused)
		}
	}
}
