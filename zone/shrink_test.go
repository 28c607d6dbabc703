package zone

import (
	"fmt"
	"slices"
	"testing"

	"starling/lib/clock"
)

// useOrder lists a shard's keys by their use.
func useOrder(sh *Shard) (keys []string) {
	for slot := sh.Oldest(); slot != 0; slot = sh.Newer(slot) {
		keys = append(keys, string(sh.Key(sh.At(slot))))
	}
	return keys
}

// Of a shard that was big once only what lives stays in memory, and everything that leads to a record still does.
func TestAShardShrinks(t *testing.T) {
	const records, kept = 6000, 50
	s := newTestStore(1 << 30)
	sh := s.ShardNumber(9)
	for i := range records {
		key := fmt.Appendf(nil, "key%d", i)
		slot, r := s.Insert(sh, key, make([]byte, 100), s.Limit(), false, 0)
		sh.Use(slot, r, int64(i))
		if i%4 > 0 { // some never end
			r.Word1 = uint64(1000 + i*1000)
			sh.Due(slot, r, 0, int64(r.Word1), 0)
		}
	}
	for i := range records {
		slot, r := sh.Find(fmt.Appendf(nil, "key%d", i))
		switch {
		case i%(records/kept) != 0:
			sh.Remove(slot)
		case i%7 == 0:
			sh.Use(slot, r, int64(records+i))
			sh.MarkDirty(slot, r)
		}
	}
	order, pending := useOrder(sh), s.Stats().Pending
	if len(order) != kept || pending < 2 {
		t.Fatalf("%d in order, %d to send", len(order), pending)
	}
	sh.Pin()
	s.Tick(clock.Reading{WallMS: 1})
	if sh.Len() < records {
		t.Error("records moved under a visitor")
	}
	sh.Unpin()
	s.Tick(clock.Reading{WallMS: 2})
	if cap(sh.slab) > 2*kept || len(sh.index.entries) > 4*kept || cap(sh.blob.bytes) > 2*kept*120 {
		t.Errorf("room is left for %d records, %d in the index, %d bytes", cap(sh.slab), len(sh.index.entries), cap(sh.blob.bytes))
	}
	if got := useOrder(sh); !slices.Equal(got, order) {
		t.Errorf("the order of use is %v, was %v", got, order)
	}
	s.Insert(sh, []byte("new"), nil, s.Limit(), false, 0)
	if sent := s.Flush(clock.Reading{}); int64(sent) != pending {
		t.Errorf("%d records are sent, %d waited", sent, pending)
	}
	for at := 0; at <= records; at += 500 {
		s.Tick(clock.Reading{WallMS: int64(1000 + at*1000 + 2*wheelTickMS)})
		for i := 0; i < records; i += records / kept {
			_, r := sh.Find(fmt.Appendf(nil, "key%d", i))
			if lives := i%4 == 0 || i > at; lives != (r != nil) {
				t.Fatalf("key%d at %d s: %v", i, at, r)
			}
		}
	}
}
