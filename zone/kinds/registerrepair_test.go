package kinds

import (
	"fmt"
	"slices"
	"testing"

	"starling/lib/clock"
	"starling/zone"
)

// differ takes the sketches of shards [first, first+count) apart.
func differ(t testing.TB, mine, theirs zone.Comparable, first, count, cells int) (here, there []zone.Element) {
	t.Helper()
	sketch := mine.Sketch(first, count, cells)
	sent, err := zone.ParseSketch(theirs.Sketch(first, count, cells).Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	sketch.Subtract(sent)
	here, there, ok := sketch.Decode()
	if !ok {
		t.Fatal("too many differences")
	}
	slices.SortFunc(here, zone.Element.Compare)
	slices.SortFunc(there, zone.Element.Compare)
	// Sketches have no tombstones; who has one for what the other holds sends it.
	mineGone, theirsGone := mine.Tombstones(there), theirs.Tombstones(here)
	here, there = append(here, mineGone...), append(there, theirsGone...)
	slices.SortFunc(here, zone.Element.Compare)
	slices.SortFunc(there, zone.Element.Compare)
	return here, there
}

// mend sends the records of wanted in pieces, as repair does.
func mend(t testing.TB, from, to zone.Comparable, wanted []zone.Element, maxBytes int, now clock.Reading) (records, bytes int) {
	t.Helper()
	for len(wanted) > 0 {
		var piece []byte
		var n int
		piece, wanted, n = from.AppendRecords(wanted, nil, maxBytes, now)
		records, bytes = records+n, bytes+len(piece)
		if n == 0 {
			continue
		}
		if _, err := to.Mend(piece, zone.Trust{}, now); err != nil {
			t.Fatal(err)
		}
	}
	return records, bytes
}

func mustAgree(t testing.TB, one, two zone.Shared) {
	t.Helper()
	var a, b [zone.Shards]uint64
	one.Digests(&a)
	two.Digests(&b)
	if a != b {
		t.Error("the digests differ")
	}
}

// Two nodes that wrote, deleted and cleared without hearing each other agree after one exchange of sketches, whether of
// the whole zone or of parts of it, however small the pieces.
func TestMendingMakesAgree(t *testing.T) {
	for _, count := range []int{zone.Shards, 64, 1} {
		for _, maxBytes := range []int{1, 300, 64 << 10} {
			t.Run(fmt.Sprintf("%d shards, %d bytes", count, maxBytes), func(t *testing.T) {
				one, two := newTestKeyval(0), newTestKeyval(0)
				for i := range 1000 {
					key := fmt.Appendf(nil, "key%d", i)
					one.Set(key, []byte("both"), NoExpire, at(int64(i)))
				}
				one.Flush(at(1000))
				for shard := range zone.Shards {
					if piece, _, _ := one.TeachShard(shard, 0, nil, 1<<20, at(1000)); len(piece) > 0 {
						two.Learn(piece, at(1000))
					}
				}
				two.Set([]byte("only two"), []byte("2"), NoExpire, at(2000))
				one.Set([]byte("only one"), []byte("1"), NoExpire, at(2000))
				one.Set([]byte("key1"), []byte("older"), NoExpire, at(2000))
				two.Set([]byte("key1"), []byte("newer"), NoExpire, at(2001))
				one.Set([]byte("key2"), []byte("same time a"), NoExpire, at(3000))
				two.Set([]byte("key2"), []byte("same time b"), NoExpire, at(3000))
				two.Delete([]byte("key3"), at(3000))
				for first := 0; first < zone.Shards; first += count {
					here, there := differ(t, one, two, first, count, zone.MinSketchCells)
					mend(t, one, two, here, maxBytes, at(9000))
					mend(t, two, one, there, maxBytes, at(9000))
				}
				mustAgree(t, one, two)
				for _, k := range []*Keyval{one, two} {
					mustHave(t, k, "only one", "1", 9000)
					mustHave(t, k, "only two", "2", 9000)
					mustHave(t, k, "key1", "newer", 9000)
					mustHave(t, k, "key2", "same time b", 9000)
					mustLack(t, k, "key3", 9000)
				}
			})
		}
	}
}

func TestMendingCarriesClears(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	for _, k := range []*Keyval{one, two} {
		k.Set([]byte("old"), []byte("x"), NoExpire, at(0))
	}
	one.Clear(at(10))
	one.Set([]byte("new"), []byte("y"), NoExpire, at(20))
	two.Set([]byte("not so old"), []byte("z"), NoExpire, at(15))
	here, there := differ(t, one, two, 0, zone.Shards, 1024)
	mend(t, one, two, here, 100, at(9000))
	mend(t, two, one, there, 100, at(9000))
	mustAgree(t, one, two)
	for _, k := range []*Keyval{one, two} {
		mustLack(t, k, "old", 9000)
		mustHave(t, k, "new", "y", 9000)
		mustHave(t, k, "not so old", "z", 9000)
	}
}

func TestWhatEndsSoonIsLeftAlone(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	one.Set([]byte("short"), []byte("x"), 5000, at(0))
	one.Set([]byte("long"), []byte("y"), 50_000, at(0))
	here, _ := differ(t, one, two, 0, zone.Shards, 64)
	if records, _ := mend(t, one, two, here, 1000, at(3000)); records != 1 {
		t.Errorf("%d records", records)
	}
	mustLack(t, two, "short", 3000)
	mustHave(t, two, "long", "y", 3000)
}

// BenchmarkRepair is the work of both sides, one after the other, for a thousand differences in a million sessions.
func BenchmarkRepair(b *testing.B) {
	one, two := fullSession(b, million), fullSession(b, million)
	var buf [16]byte
	bytes := 0
	for round := 1; b.Loop(); round++ {
		b.StopTimer()
		now := at(int64(100_000 + 10_000*round))
		for i := range 1000 {
			one.Bind(binaryKey(buf[:0], i*997), fmt.Appendf(nil, "server %d", round), now)
		}
		one.Flush(now)
		now = now.Add(5e9)
		b.StartTimer()
		here, _ := differ(b, one, two, 0, zone.Shards, zone.MaxSketchCells)
		records, n := mend(b, one, two, here, 64<<10, now)
		bytes += n + zone.MaxSketchCells*zone.SketchCellBytes
		if records != 1000 {
			b.Fatalf("%d records", records)
		}
	}
	mustAgree(b, one, two)
	b.ReportMetric(float64(bytes)/float64(b.N), "bytes")
}

// What was deleted elsewhere long ago is deleted by a tombstone that beats nothing written since.
func TestBury(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	const hourMS = TombstoneLifeMS
	one.Set([]byte("old"), []byte("x"), NoExpire, at(0))
	one.Set([]byte("rewritten"), []byte("x"), NoExpire, at(0))
	here, _ := differ(t, one, two, 0, zone.Shards, 64)
	one.Set([]byte("rewritten"), []byte("y"), NoExpire, at(10))
	two.Set([]byte("old"), []byte("new"), NoExpire, at(hourMS))
	now := at(2*hourMS + 1000)
	if n, kept := one.Bury(here, at(hourMS).WallMS, now); n != 1 || len(kept) != 0 {
		t.Errorf("%d records buried", n)
	}
	mustLack(t, one, "old", 2*hourMS+1000)
	mustHave(t, one, "rewritten", "y", 2*hourMS+1000)
	one.Flush(now)
	sequence := deliver(t, 1, one, two, 0, 0, now)
	mustLack(t, two, "old", 2*hourMS+1000) // written an hour before: so old may what is buried be
	two.Set([]byte("old"), []byte("newer"), NoExpire, now)
	deliver(t, 1, one, two, sequence-1, 0, now)
	mustHave(t, two, "old", "newer", 2*hourMS+1000)
	one.Tick(at(2*hourMS + 1000 + 2*buriedForMS))
	if here, _ := differ(t, one, newTestKeyval(0), 0, zone.Shards, 64); len(here) != 1 {
		t.Errorf("%d records and tombstones are left", len(here))
	}
}

// A record may be deleted elsewhere a moment after it was written, and its tombstone evicted: it is deleted although it
// is young, and so are its copies.
func TestBuryOfYoungRecords(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	one.Set([]byte("young"), []byte("x"), NoExpire, at(0))
	here, _ := differ(t, one, newTestKeyval(0), 0, zone.Shards, 64)
	mend(t, one, two, here, 64<<10, at(10))
	mustHave(t, two, "young", "x", 20)
	if n, kept := one.Bury(here, at(1000).WallMS, at(2000)); n != 1 || len(kept) != 0 {
		t.Errorf("%d records are deleted, %d kept", n, len(kept))
	}
	mustLack(t, one, "young", 2000)
	one.Flush(at(2000))
	deliver(t, 1, one, two, 0, 0, at(2000))
	mustLack(t, two, "young", 2000)
}
