package kinds

import "starling/zone"

// This file reads what taught shards of buckets, counts and findings have in common: their format byte, the shard, and
// the origins that the rest is about.

// seen is an origin in the head of a taught shard, and the last of its frames that the shard has.
type seen struct {
	origin   zone.Origin
	sequence uint64
}

// readTaughtHead reads the head of a taught shard. The first origin is the teacher; most bounds their number.
func readTaughtHead(r *zone.Reader, format byte, most uint64) (shard int, from []seen) {
	if r.Byte() != format {
		r.Fail()
	}
	shard, count := int(r.Byte()), r.Uvarint()
	if count == 0 || count > most {
		r.Fail()
	}
	for i := uint64(0); i < count && !r.Failed(); i++ {
		from = append(from, seen{zone.Origin(r.Uint64()), r.Uvarint()})
		if from[i].sequence >= zone.MaxSequence {
			r.Fail()
		}
	}
	return shard, from
}

// taughtBy reads only the teacher of a taught shard.
func taughtBy(payload []byte) (teacher zone.Origin, ok bool) {
	r := zone.Read(payload)
	r.Byte()
	r.Byte()
	r.Uvarint()
	teacher = zone.Origin(r.Uint64())
	return teacher, !r.Failed()
}

// TaughtBy returns the origin that a taught piece claims.
func (b *Bucket) TaughtBy(payload []byte) (teacher zone.Origin, ok bool) { return taughtBy(payload) }
