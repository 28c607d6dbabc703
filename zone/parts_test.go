package zone

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"starling/lib/clock"
	"starling/lib/stamp"
)

func TestBlobSizesHoldAndDoNotWaste(t *testing.T) {
	last := -1
	for n := 1; n < 70_000; n++ {
		class, size := blobSize(n)
		if size < n || size%blobUnit != 0 || (n > blobExact && size > n+n/4+blobUnit) || size >= n+max(blobUnit, n/4+blobUnit) {
			t.Fatalf("%d bytes get %d", n, size)
		}
		if class < last || class > last+1 || class >= blobSizes {
			t.Fatalf("%d bytes have class %d after %d", n, class, last)
		}
		last = class
	}
	if class, size := blobSize(MaxKeyBytes + 1<<20); class >= blobSizes || size < MaxKeyBytes+1<<20 {
		t.Errorf("the biggest record has class %d of %d", class, blobSizes)
	}
}

// noKeeper keeps records that never end.
type noKeeper struct{ framed func() }

func (noKeeper) NewEncoder() Encoder            { return noEncoder{} }
func (noKeeper) DueMS(r *Record) int64          { return int64(r.Word1) }
func (noKeeper) Forget(*Shard, *Record, []byte) {}
func (k noKeeper) Framed(uint64, []byte, clock.Reading) {
	if k.framed != nil {
		k.framed()
	}
}
func (noKeeper) Sweep(*Shard, clock.Reading) {}
func (noKeeper) Needed(*Record) int          { return 0 }
func (noKeeper) GivenUp(*Record)             {}

type noEncoder struct{}

func (noEncoder) Begin(dst []byte, _ clock.Reading) []byte     { return append(dst, 'f') }
func (noEncoder) AppendClear(dst []byte, _ stamp.Stamp) []byte { return append(dst, 'c') }
func (noEncoder) AppendChange(dst []byte, _ *Record, key, value []byte) []byte {
	return append(append(append(dst, byte(len(key))), key...), value...)
}

var testKind = Kind{Name: "test"}

func newTestStore(bytes int64) *Store {
	return NewStore(Info{Name: "test", Kind: &testKind, Bytes: bytes}, true, noKeeper{})
}

// A shard under random work is compared with a map.
func TestShardAgainstAMap(t *testing.T) {
	s := newTestStore(1 << 30)
	sh := s.ShardNumber(7)
	model := map[string]string{}
	r := rand.New(rand.NewPCG(1, 2))
	for step := range 60_000 {
		key := fmt.Sprint("key", r.IntN(500))
		slot, found := sh.Find([]byte(key))
		if want, ok := model[key]; ok != (found != nil) || (ok && string(sh.Value(found)) != want) {
			t.Fatalf("step %d: %s is not %q", step, key, want)
		}
		value := string(make([]byte, r.IntN(1+r.IntN(400)))) + fmt.Sprint(step)
		switch {
		case found == nil && r.IntN(3) > 0:
			s.Insert(sh, []byte(key), []byte(value), s.Limit(), false, 0)
			model[key] = value
		case found != nil && r.IntN(2) == 0:
			sh.Remove(slot)
			delete(model, key)
		case found != nil:
			s.Replace(sh, slot, []byte(value), s.Limit(), false, 0)
			model[key] = value
		}
	}
	bytes := int64(0)
	for key, value := range model {
		bytes += CostBytes(len(key), len(value))
	}
	if stats := s.Stats(); stats.Bytes != bytes || stats.Records != int64(len(model)) {
		t.Errorf("stats %+v, want %d bytes and %d records", stats, bytes, len(model))
	}
}

func TestWheelEndsRecordsInTime(t *testing.T) {
	const startMS = 1_800_000_000_123
	s := newTestStore(1 << 30)
	r := rand.New(rand.NewPCG(3, 4))
	due := map[string]int64{}
	for i := range 3000 {
		key := fmt.Sprint("key", i)
		sh := s.Shard(KeyHash([]byte(key)))
		slot, record := s.Insert(sh, []byte(key), nil, s.Limit(), false, 0)
		due[key] = startMS + r.Int64N(1<<r.IntN(36))
		record.Word1 = uint64(due[key])
		sh.Due(slot, record, 0, due[key], startMS)
	}
	nowMS := int64(startMS)
	for len(due) > 0 {
		nowMS += 1 + r.Int64N(1<<r.IntN(34))
		s.Tick(clock.Reading{MonoMS: nowMS})
		for key, ms := range due {
			_, found := s.Shard(KeyHash([]byte(key))).Find([]byte(key))
			switch {
			case found == nil && ms > nowMS:
				t.Fatalf("%s went %d ms too early", key, ms-nowMS)
			case found != nil && ms < nowMS-2*wheelTickMS:
				t.Fatalf("%s is %d ms late", key, nowMS-ms)
			case found == nil:
				delete(due, key)
			}
		}
	}
	if stats := s.Stats(); stats.Records != 0 || stats.Bytes != 0 {
		t.Errorf("left over: %+v", stats)
	}
}

func TestJournalIsARing(t *testing.T) {
	var j Journal
	j.resize(4)
	if j.Head() != FirstSequence || j.Tail() != FirstSequence || j.RecordsAfter(0) != 0 {
		t.Fatalf("empty: head %d, tail %d", j.Head(), j.Tail())
	}
	for i := range 10 {
		j.append([]byte{byte(i)}, 10+i, int64(i))
	}
	if j.Head() != 11 || j.Tail() != 7 {
		t.Errorf("head %d, tail %d", j.Head(), j.Tail())
	}
	for sequence, want := range map[uint64]bool{0: false, 6: false, 7: true, 10: true, 11: false} {
		payload, records, ms, ok := j.Frame(sequence)
		if ok != want || (ok && (payload[0] != byte(sequence-1) || records != int(9+sequence) || ms != int64(sequence-1))) {
			t.Errorf("frame %d: %v %d %d %v", sequence, payload, records, ms, ok)
		}
	}
	for sequence, want := range map[uint64]int64{0: 16 + 17 + 18 + 19, 6: 16 + 17 + 18 + 19, 8: 18 + 19, 10: 0, 99: 0} {
		if got := j.RecordsAfter(sequence); got != want {
			t.Errorf("after %d: %d records, want %d", sequence, got, want)
		}
	}
}

func TestAJournalKeepsItsFramesWhenResized(t *testing.T) {
	var j Journal
	j.resize(4)
	for i := range 10 {
		j.append([]byte{byte(i)}, 1, 0)
	}
	for _, frames := range []int{8, 2} {
		j.resize(frames)
		wantTail := 11 - uint64(min(frames, 4))
		if payload, _, _, ok := j.Frame(10); j.Tail() != wantTail || !ok || payload[0] != 9 {
			t.Errorf("%d frames: tail %d, newest %v", frames, j.Tail(), payload)
		}
	}
	j.append([]byte{10}, 1, 0)
	if _, _, _, ok := j.Frame(9); ok || j.RecordsAfter(0) != 2 {
		t.Errorf("a frame that went is there, or %d records after 0", j.RecordsAfter(0))
	}
}

func TestFramesAreFilledAndBigRecordsTravelAlone(t *testing.T) {
	s := newTestStore(1 << 20)
	s.Resize(100, 400)
	put := func(key string, size int) {
		sh := s.Shard(KeyHash([]byte(key)))
		slot, r := s.Insert(sh, []byte(key), make([]byte, size), s.Limit(), false, 0)
		sh.MarkDirty(slot, r)
		sh.MarkDirty(slot, r)
	}
	for i := range 40 {
		put(fmt.Sprint("small", i), 10)
	}
	put("big", 5000)
	if s.Stats().Pending != 41 {
		t.Errorf("%d pending", s.Stats().Pending)
	}
	if moved := s.Flush(clock.Reading{}); moved != 41 || s.Stats().Pending != 0 {
		t.Errorf("%d moved, %d pending", moved, s.Stats().Pending)
	}
	var sizes []int
	total := 0
	for sequence := s.Journal().Tail(); sequence < s.Journal().Head(); sequence++ {
		payload, records, _, _ := s.Journal().Frame(sequence)
		total += records
		if len(payload) > 400 && records != 1 {
			t.Errorf("a frame of %d bytes has %d records", len(payload), records)
		}
		sizes = append(sizes, len(payload))
	}
	if total != 41 || slices.Max(sizes) < 5000 {
		t.Errorf("frames of %v bytes hold %d records", sizes, total)
	}
}

func TestWakeComesWhenTheDirtyListWasEmpty(t *testing.T) {
	s := newTestStore(1 << 20)
	sh := s.ShardNumber(1)
	slot, r := s.Insert(sh, []byte("a"), nil, s.Limit(), false, 0)
	other, o := s.Insert(sh, []byte("b"), nil, s.Limit(), false, 0)
	if !sh.MarkDirty(slot, sh.At(slot)) || sh.MarkDirty(other, o) || sh.MarkDirty(slot, r) {
		t.Error("not once")
	}
	s.Flush(clock.Reading{})
	if !sh.MarkDirty(slot, sh.At(slot)) {
		t.Error("not after a flush")
	}
}

// A change to a shard that the running flush has already passed must not be forgotten.
func TestWakeComesForWhatAFlushLeftBehind(t *testing.T) {
	var s *Store
	change := func(shard int, key string) (first bool) {
		sh := s.ShardNumber(shard)
		slot, r := s.Insert(sh, []byte(key), nil, s.Limit(), false, 0)
		return sh.MarkDirty(slot, r)
	}
	n := 0
	s = NewStore(Info{Name: "test", Kind: &testKind, Bytes: 1 << 20}, true, noKeeper{framed: func() {
		if n++; n == 1 && change(3, "late") {
			t.Error("woken at once: the test does not test what it wants")
		}
	}})
	s.Resize(8, minFrameBytes)
	for i := range 20 {
		change(200, fmt.Sprint("a key of some length to fill frames ", i))
	}
	change(2, "first")
	woken := 0
	s.OnDirty(func(bool) { woken++ })
	s.Flush(clock.Reading{})
	if woken != 2 || s.Stats().Pending != 1 {
		t.Errorf("woken %d times with %d pending, want once for what was there and once for what was left", woken, s.Stats().Pending)
	}
}
