package kinds

import (
	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// sums is the part of a zone whose records have no end, no stamp and no tombstone of their own: buckets, counts of
// connections and findings.
type sums struct{}

// DueMS is 0: records do not expire, their kind removes them.
func (sums) DueMS(*zone.Record) int64 { return 0 }

// Needed is never called: there are no tombstones.
func (sums) Needed(*zone.Record) int { return 0 }

// GivenUp is never called, see Needed.
func (sums) GivenUp(*zone.Record) {}

// Forget has nothing to do: nothing is kept beside a record.
func (sums) Forget(*zone.Shard, *zone.Record, []byte) {}

// Digests reports that the records cannot be compared: they change all the time, or differ from node to node.
func (sums) Digests(out *[zone.Shards]uint64) (comparable bool) {
	clear(out[:])
	return false
}

// head is the part of an encoder that begins a frame with its format and nothing else.
type head byte

// Begin appends the head of a frame.
func (h head) Begin(dst []byte, _ clock.Reading) []byte { return append(dst, byte(h)) }

// AppendClear never happens: these zones are not cleared.
func (head) AppendClear(dst []byte, _ stamp.Stamp) []byte { return dst }
