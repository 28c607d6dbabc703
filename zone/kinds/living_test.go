package kinds

import (
	"testing"

	"starling/zone"
)

// carry flushes a zone, has others apply its frames after one, and returns the last.
func carry[Z zone.Shared](t *testing.T, from Z, origin zone.Origin, after uint64, ms int64, others []Z) uint64 {
	t.Helper()
	from.Flush(at(ms))
	for head := from.Journal().Head(); after+1 < head; after++ {
		payload, _, _, ok := from.Journal().Frame(after + 1)
		if !ok {
			t.Fatal("the ring is too short")
		}
		for _, other := range others {
			if _, err := other.Apply(origin, after+1, payload, 0, at(ms)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return after
}
