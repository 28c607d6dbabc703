package kinds

import (
	"encoding/binary"
	"fmt"
	"testing"

	"starling/zone"
)

// lie is a taught piece of one shard that speaks of another origin's journal.
func lie(teacher, of zone.Origin, shard byte, sequence uint64) []byte {
	piece := []byte{bucketTaughtFormat, shard, 2}
	piece = binary.LittleEndian.AppendUint64(piece, uint64(teacher))
	piece = binary.AppendUvarint(piece, 1)
	piece = binary.LittleEndian.AppendUint64(piece, uint64(of))
	return binary.AppendUvarint(piece, sequence)
}

// A teacher that speaks of another node's journal as far ahead as no journal is does not stop that node's requests from
// being counted.
func TestLiesAboutAnothersJournalDoNotLast(t *testing.T) {
	one, two := newNode(t, 1), newNode(t, 2)
	for shard := range zone.Shards {
		if _, err := two.zone.Learn(lie(66, 1, byte(shard), 1<<40), at(0)); err != nil {
			t.Fatal(err)
		}
	}
	one.charge("k")
	one.charge("k")
	one.zone.Flush(at(0))
	one.push(t, two, 1<<30)
	if got := two.level("k"); got != 2 {
		t.Errorf("%d requests are counted, want 2", got)
	}
	if _, err := two.zone.Learn(lie(66, 1, 0, zone.MaxSequence), at(0)); err == nil {
		t.Error("a sequence that no journal reaches is learned")
	}
}

// What its origin says of the end of a journal goes before what others said.
func TestAnOriginSaysWhereItGoesOn(t *testing.T) {
	one, two := newNode(t, 1), newNode(t, 2)
	for shard := range zone.Shards {
		if _, err := two.zone.Learn(lie(66, 1, byte(shard), 1<<40), at(0)); err != nil {
			t.Fatal(err)
		}
	}
	one.charge("k")
	one.zone.Flush(at(0))
	two.zone.Forfeit(1, 2) // it overran this node before
	one.sent[two] = 1
	one.charge("k")
	one.zone.Flush(at(0))
	one.push(t, two, 1<<30)
	one.teachAll(t, two)
	one.charge("k")
	one.zone.Flush(at(0))
	one.push(t, two, 1<<30)
	if got := two.level("k"); got != 3 {
		t.Errorf("%d requests are counted, want 3", got)
	}
}

// Origins that a teacher makes up give way before those whose frames came.
func TestMadeUpOriginsGiveWay(t *testing.T) {
	one, two := newNode(t, 1), newNode(t, 2)
	one.charge("k")
	one.zone.Flush(at(0))
	one.push(t, two, 1<<30)
	for name := range zone.Origin(2 * maxOrigins) {
		if _, err := two.zone.Learn(lie(66, 1000+name, 0, 1), at(5000+int64(name))); err != nil {
			t.Fatal(err)
		}
	}
	if two.zone.origins[1] == nil || len(two.zone.origins) > maxOrigins {
		t.Errorf("the origin that spoke is forgotten, or too many are kept: %d", len(two.zone.origins))
	}
}

// A teacher that makes up keys of level 0 does not fill the zone with records that nobody uses: none is stored, so the next client finds room.
func TestTaughtKeysOfLevelZeroAreNotStored(t *testing.T) {
	b := NewBucket(BucketConfig{Name: "b", Bytes: 32 << 10, RateMilli: 1000, Sync: true})
	b.SetOrigin(1)
	pieces := map[int][]byte{}
	for i := range 2000 {
		key := fmt.Appendf(nil, "key%d", i)
		shard := zone.ShardOf(zone.KeyHash(key))
		if pieces[shard] == nil {
			pieces[shard] = lie(66, 67, byte(shard), 1)
		}
		pieces[shard] = append(append(binary.AppendUvarint(pieces[shard], uint64(len(key))), key...), 0)
	}
	for _, piece := range pieces {
		if _, err := b.Learn(piece, at(0)); err != nil {
			t.Fatal(err)
		}
	}
	if stats := b.Stats(); stats.Records != 0 || stats.Refused != 0 {
		t.Errorf("%+v, want no records of keys without requests", stats)
	}
	if _, verdict := b.Account([]byte("client"), at(1), 0); verdict != Passed {
		t.Errorf("the next client gets verdict %v, want Passed", verdict)
	}
}
