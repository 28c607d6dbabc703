package kinds

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"starling/zone"
)

// twin is a zone and the plain map that it is compared with.
type twin struct {
	zone  *Keyval
	model map[string]twinPair
	r     *rand.Rand
	ms    int64
}

type twinPair struct {
	value    string
	expiryMS int64
}

func TestKeyvalAgainstAMap(t *testing.T) {
	const timeoutMS = 5000
	for _, synced := range []bool{true, false} {
		w := twin{
			zone:  NewKeyval(KeyvalConfig{Name: "k", Bytes: 1 << 24, TimeoutMS: timeoutMS, Sync: synced}),
			model: map[string]twinPair{}, r: rand.New(rand.NewPCG(9, 9)),
		}
		for step := range 40_000 {
			w.ms += int64(w.r.IntN(4))
			for key, pair := range w.model {
				if pair.expiryMS <= w.ms {
					delete(w.model, key)
				}
			}
			key := fmt.Sprint("key", w.r.IntN(300))
			switch draw := w.r.IntN(8); {
			case draw < 4:
				w.write(t, draw, key, fmt.Sprint("value", step), timeoutMS)
			case draw < 6:
				w.remove(t, key)
			default:
				w.read(t, key)
			}
			switch {
			case step%2000 == 0:
				w.zone.Clear(at(w.ms))
				clear(w.model)
			case step%50 == 0:
				w.zone.Flush(at(w.ms))
			case step%51 == 0:
				w.zone.Tick(at(w.ms))
			}
		}
		found := 0
		for pair := range w.zone.All(at(w.ms)) {
			if w.model[string(pair.Key)].value != string(pair.Value) {
				t.Errorf("%s is %s", pair.Key, pair.Value)
			}
			found++
		}
		if found != len(w.model) {
			t.Errorf("%d pairs, want %d", found, len(w.model))
		}
	}
}

func (w *twin) write(t *testing.T, how int, key, value string, timeoutMS int64) {
	t.Helper()
	_, exists := w.model[key]
	expire, life := NoExpire, timeoutMS
	if w.r.IntN(3) == 0 {
		life = 1 + w.r.Int64N(20_000)
		expire = life
	}
	var err, want error
	switch how {
	case 0:
		if exists {
			want = ErrExists
		}
		err = w.zone.Add([]byte(key), []byte(value), expire, at(w.ms))
	case 1:
		if !exists {
			want = ErrNotFound
		}
		err = w.zone.Update([]byte(key), []byte(value), expire, at(w.ms))
	default:
		err = w.zone.Set([]byte(key), []byte(value), expire, at(w.ms))
	}
	if !errors.Is(err, want) {
		t.Fatalf("writing %s: %v, want %v", key, err, want)
	}
	if err == nil {
		w.model[key] = twinPair{value, w.ms + life}
	}
}

func (w *twin) remove(t *testing.T, key string) {
	t.Helper()
	var want error
	if _, exists := w.model[key]; !exists {
		want = ErrNotFound
	}
	if err := w.zone.Delete([]byte(key), at(w.ms)); !errors.Is(err, want) {
		t.Fatalf("deleting %s: %v, want %v", key, err, want)
	}
	delete(w.model, key)
}

func (w *twin) read(t *testing.T, key string) {
	t.Helper()
	want, exists := w.model[key]
	got, ok := w.zone.AppendValue(nil, []byte(key), at(w.ms))
	if ok != exists || string(got) != want.value {
		t.Fatalf("%s is %q %v, want %+v", key, got, ok, want)
	}
}

func TestLookupByType(t *testing.T) {
	type lookup struct{ key, want string }
	tests := []struct {
		valueType ValueType
		pairs     []string
		lookups   []lookup
	}{
		{TypeString, []string{"a", "ab"}, []lookup{{"a", "a"}, {"abc", ""}}},
		{TypePrefix, []string{"a", "ab", "abcd"}, []lookup{{"abcde", "abcd"}, {"abc", "ab"}, {"ax", "a"}, {"x", ""}, {"", ""}}},
		{TypeIP, []string{"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "192.0.2.77/24"}, []lookup{
			{"10.1.2.3", "10.1.2.3"}, {"10.1.2.4", "10.1.0.0/16"}, {"10.9.9.9", "10.0.0.0/8"}, {"11.0.0.1", ""},
			{"2001:db8:1::1", "2001:db8::/32"}, {"2001:db9::1", ""}, {"::ffff:10.1.2.3", "10.1.2.3"},
			{"192.0.2.200", "192.0.2.77/24"}, {"unix:", ""}, {"\x0a\x01\x02\x03", "10.1.2.3"}, {"fe80::1%eth0", ""},
		}},
	}
	for _, test := range tests {
		k := NewKeyval(KeyvalConfig{Name: "k", Bytes: 1 << 20, Type: test.valueType, Sync: true})
		for _, key := range test.pairs {
			if err := k.Set([]byte(key), []byte(key), NoExpire, at(0)); err != nil {
				t.Fatal(err)
			}
		}
		for _, l := range test.lookups {
			if got, _ := k.AppendValue(nil, []byte(l.key), at(0)); string(got) != l.want {
				t.Errorf("type %d: %q finds %q, want %q", test.valueType, l.key, got, l.want)
			}
		}
	}
}

func TestTypeIPKeysAreSpeltOneWay(t *testing.T) {
	k := NewKeyval(KeyvalConfig{Name: "k", Bytes: 1 << 20, Type: TypeIP})
	for _, key := range []string{"10.0.0.77/24", "10.0.0.1/32", "2001:DB8:0::1", "::ffff:192.0.2.1"} {
		if err := k.Add([]byte(key), []byte("v"), NoExpire, at(0)); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	var keys []string
	for pair := range k.All(at(0)) {
		keys = append(keys, string(pair.Key))
	}
	slices.Sort(keys)
	if want := []string{"10.0.0.0/24", "10.0.0.1", "192.0.2.1", "2001:db8::1"}; !slices.Equal(keys, want) {
		t.Errorf("%q", keys)
	}
	for _, key := range []string{"", "10.0.0", "10.0.0.0/33", "host", "fe80::1%eth0"} {
		if err := k.Set([]byte(key), nil, NoExpire, at(0)); !errors.Is(err, ErrKey) {
			t.Errorf("%q: %v", key, err)
		}
	}
}

// A more specific record that ended or was deleted gives way to the wider one, at once and also after the wheel took
// it.
func TestTheNextBestRecordIsFound(t *testing.T) {
	for _, valueType := range []ValueType{TypeIP, TypePrefix} {
		k := NewKeyval(KeyvalConfig{Name: "k", Bytes: 1 << 20, Type: valueType, Sync: true})
		wide, narrow, key := "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"
		if valueType == TypePrefix {
			wide, narrow = "10", "10.1"
		}
		k.Set([]byte(wide), []byte("wide"), NoExpire, at(0))
		k.Set([]byte(narrow), []byte("narrow"), 1000, at(0))
		k.Flush(at(0))
		mustHave(t, k, key, "narrow", 999)
		mustHave(t, k, key, "wide", 1000)
		k.Tick(at(2000))
		mustHave(t, k, key, "wide", 2000)
		k.Set([]byte(narrow), []byte("narrow"), NoExpire, at(2000))
		mustHave(t, k, key, "narrow", 2000)
		k.Delete([]byte(narrow), at(2001))
		mustHave(t, k, key, "wide", 2001)
		k.Clear(at(2002))
		mustLack(t, k, key, 2002)
	}
}

func TestAFullZoneRefusesLocalWritesAndKeepsRoomForOthers(t *testing.T) {
	one := NewKeyval(KeyvalConfig{Name: "k", Bytes: 32 << 10, Sync: true})
	two := NewKeyval(KeyvalConfig{Name: "k", Bytes: 1 << 20, Sync: true})
	var err error
	n := 0
	for ; err == nil; n++ {
		err = one.Set(fmt.Appendf(nil, "key%d", n), make([]byte, 100), NoExpire, at(0))
	}
	if !errors.Is(err, ErrFull) || one.Stats().Bytes > 32<<10/8*7 || one.Stats().Bytes < 32<<10/8*7-300 {
		t.Fatalf("%v at %+v", err, one.Stats())
	}
	two.Set([]byte("remote"), []byte("v"), NoExpire, at(0))
	two.Flush(at(0))
	deliver(t, 2, two, one, 0, 0, at(0))
	mustHave(t, one, "remote", "v", 0)
	if err := one.Delete([]byte("key0"), at(1)); err != nil {
		t.Errorf("delete from a full zone: %v", err)
	}
	var digests [zone.Shards]uint64
	if !one.Digests(&digests) {
		t.Error("refusing a local write made the zone not comparable")
	}
	for i := range 1000 {
		two.Set(fmt.Appendf(nil, "more%d", i), make([]byte, 100), NoExpire, at(1))
	}
	two.Resize(1000, 8192)
	two.Flush(at(1))
	journal := two.Journal()
	for sequence := journal.Tail(); sequence < journal.Head(); sequence++ {
		payload, _, _, _ := journal.Frame(sequence)
		if _, err := one.Apply(2, sequence, payload, 0, at(1)); err != nil {
			t.Fatal(err)
		}
	}
	if stats := one.Stats(); stats.Refused == 0 || stats.RecordBytes > 32<<10 || one.Digests(&digests) {
		t.Errorf("%+v, comparable or not refused", stats)
	}
}

func TestAStampFromTheFutureIsRefused(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	one.Set([]byte("a"), []byte("ahead"), NoExpire, at(60_001))
	one.Flush(at(60_001))
	deliver(t, 1, one, two, 0, 0, at(0))
	mustLack(t, two, "a", 0)
	if got := two.Stats().Ahead; got != 1 {
		t.Errorf("%d refused", got)
	}
	if deliver(t, 1, one, two, 0, 0, at(1)); two.Stats().Won != 1 {
		t.Errorf("a stamp 60 s ahead was not taken: %+v", two.Stats())
	}
}

// TestAFullZonesLogBringsItBack: what peers sent and the zone had no room for is not in the log, or a restart would
// meet it before the writes that were acknowledged.
func TestAFullZonesLogBringsItBack(t *testing.T) {
	one := NewKeyval(KeyvalConfig{Name: "k", Bytes: 32 << 10, Sync: true})
	two := NewKeyval(KeyvalConfig{Name: "k", Bytes: 1 << 20, Sync: true})
	var log [][]byte
	keep := func(record []byte) { log = append(log, slices.Clone(record)) }
	one.OnCommit(onDisk(keep), keep)
	one.Set([]byte("mine"), []byte("kept"), NoExpire, at(0))
	for i := range 1000 {
		two.Set(fmt.Appendf(nil, "more%d", i), make([]byte, 100), NoExpire, at(1))
	}
	two.Resize(1000, 8192)
	two.Flush(at(1))
	for sequence := two.Journal().Tail(); sequence < two.Journal().Head(); sequence++ {
		payload, _, _, _ := two.Journal().Frame(sequence)
		if _, err := one.Apply(2, sequence, payload, 0, at(1)); err != nil {
			t.Fatal(err)
		}
	}
	if one.Stats().Refused == 0 {
		t.Fatal("the zone was not full")
	}
	back := NewKeyval(KeyvalConfig{Name: "k", Bytes: 32 << 10, Sync: true})
	var found Restored
	for _, record := range log {
		if err := back.Restore(record, &found, at(2)); err != nil {
			t.Fatal(err)
		}
	}
	mustHave(t, back, "mine", "kept", 2)
}

func TestStateComesBack(t *testing.T) {
	one := NewKeyval(KeyvalConfig{Name: "k", Bytes: 1 << 20, Sync: true})
	var log [][]byte
	keep := func(record []byte) { log = append(log, slices.Clone(record)) }
	one.OnCommit(onDisk(keep), keep)
	one.Set([]byte("a"), []byte("1"), NoExpire, at(0))
	one.Set([]byte("b"), []byte("2"), 50_000, at(0))
	one.Set([]byte("b"), []byte("3"), 60_000, at(1))
	one.Set([]byte("c"), []byte("4"), NoExpire, at(1))
	one.Delete([]byte("a"), at(2))
	other := newTestKeyval(0)
	other.Set([]byte("d"), []byte("remote"), NoExpire, at(3))
	other.Flush(at(3))
	deliver(t, 2, other, one, 0, 0, at(3))
	if len(log) != 6 {
		t.Errorf("%d records in the log", len(log))
	}
	var snapshot [][]byte
	one.Snapshot(at(4), func(record []byte) error {
		snapshot = append(snapshot, slices.Clone(record))
		return nil
	})
	slices.Reverse(log) // the order does not matter
	for name, records := range map[string][][]byte{"log": log, "snapshot": snapshot} {
		back := NewKeyval(KeyvalConfig{Name: "k", Bytes: 1 << 20, Sync: true})
		var found Restored
		records = append(
			records,
			NodeRecord(77),
			agreedRecord(3, zone.Agreement{Lineage: 5, ThroughMS: 9, NotedMS: 11}),
			agreedRecord(3, zone.Agreement{Lineage: 5, ThroughMS: 9, NotedMS: 12}),
			agreedRecord(3, zone.Agreement{Lineage: 5, ThroughMS: 9, NotedMS: 10}),
			agreedRecord(3, zone.Agreement{Lineage: 5, ThroughMS: 1, NotedMS: 13}),
			agreedRecord(3, zone.Agreement{Lineage: 5, ThroughMS: 9})[:1+3*8], // of a release before
		)
		for _, record := range records {
			if err := back.Restore(record, &found, at(-100_000)); err != nil {
				t.Fatal(err)
			}
		}
		mustLack(t, back, "a", 4)
		mustHave(t, back, "b", "3", 60_000)
		mustLack(t, back, "b", 60_001)
		mustHave(t, back, "c", "4", 4)
		mustHave(t, back, "d", "remote", 4)
		var left, right [zone.Shards]uint64
		if one.Digests(&left); !back.Digests(&right) || left != right {
			t.Errorf("%s: digests differ", name)
		}
		if found.Node != 77 {
			t.Errorf("%s: found %+v", name, found)
		}
		back.SetOrigin(99)
		want := zone.Agreement{Lineage: 5, ThroughMS: 9, NotedMS: 12}
		if agreed := back.Agreed(); back.Lineage() != 3 || len(agreed) != 1 || agreed[0] != want {
			t.Errorf("%s: lineage %d, agreed %v", name, back.Lineage(), agreed)
		}
	}
}

func TestAWriteFailsWhenItsLogDoes(t *testing.T) {
	k := newTestKeyval(0)
	broken := errors.New("disk is gone")
	k.OnCommit(func([]byte) (func() error, error) { return func() error { return broken }, nil }, func([]byte) {})
	for name, err := range map[string]error{
		"set":    k.Set([]byte("a"), []byte("1"), NoExpire, at(0)),
		"delete": k.Delete([]byte("a"), at(0)),
		"clear":  k.Clear(at(0)),
	} {
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStateAsJSON(t *testing.T) {
	k := newTestKeyval(0)
	if err := k.LoadState([]byte(`{"b":"2", "a\n":"\"1\"", "c":{"value":"3","expire":5000}}`), at(0)); err != nil {
		t.Fatal(err)
	}
	text := stateOf(k, 1000)
	if want := "{\n\"a\\n\":\"\\\"1\\\"\",\n\"b\":\"2\",\n\"c\":{\"value\":\"3\",\"expire\":4000}\n}\n"; text != want {
		t.Error(text)
	}
	mustLack(t, k, "c", 5000)
	k.Set([]byte("b"), []byte("newer"), NoExpire, at(0))
	k.LoadState([]byte(`{"b":"older"}`), at(1))
	mustHave(t, k, "b", "newer", 1)
	if text := stateOf(newTestKeyval(0), 0); text != "{\n}\n" {
		t.Errorf("empty: %q", text)
	}
	for _, wrong := range []string{"", "[]", `{"a":1}`, `{"a":{"value":"1","expire":-1}}`, `{"":"1"}`} {
		if err := newTestKeyval(0).LoadState([]byte(wrong), at(0)); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
}

// Where cluster time goes back, what was agreed through a later time counts until now only, also after a restart.
func TestAgreementsGoBackWithTheTime(t *testing.T) {
	k := newTestKeyval(0)
	var log [][]byte
	keep := func(record []byte) { log = append(log, slices.Clone(record)) }
	k.OnCommit(onDisk(keep), keep)
	k.SetOrigin(3)
	k.KeepAgreed(zone.Agreement{Lineage: 5, ThroughMS: 90_000})
	k.AgreedUntil(95_000)
	k.AgreedUntil(50_000)
	if len(log) != 2 {
		t.Errorf("%d records in the log", len(log))
	}
	back := newTestKeyval(0)
	for _, record := range log {
		if err := back.Restore(record, new(Restored), at(0)); err != nil {
			t.Fatal(err)
		}
	}
	for _, z := range []*Keyval{k, back} {
		if agreed := z.Agreed(); len(agreed) != 1 || agreed[0].ThroughMS != 50_000 {
			t.Errorf("agreed %v", agreed)
		}
	}
	half := agreedRecord(3, zone.Agreement{Lineage: 5, ThroughMS: 9, NotedMS: 12})
	for _, record := range [][]byte{{stateAgreedUntil, 1}, half[:len(half)-4]} {
		if err := back.Restore(record, new(Restored), at(0)); err == nil {
			t.Errorf("half a record was taken: %v", record)
		}
	}
}

// TestExpiredPairsAreCountedForAWhile: nobody finds them any more, and peers are not taught them.
func TestExpiredPairsAreCountedForAWhile(t *testing.T) {
	k := newTestKeyval(5000)
	k.Set([]byte("key1"), []byte("val1"), NoExpire, at(0))
	k.Flush(at(0))
	k.Tick(at(5500))
	mustLack(t, k, "key1", 5500)
	for pair := range k.Visit(at(5500)) {
		t.Errorf("%s is listed", pair.Key)
	}
	if n := k.Stats().Records; n != 1 {
		t.Errorf("%d pairs are counted half a second later, want 1", n)
	}
	if err := k.Add([]byte("key1"), []byte("val2"), 100, at(5500)); err != nil {
		t.Errorf("the key is free: %v", err)
	}
	k.Flush(at(5500))
	k.Tick(at(7000))
	if stats := k.Stats(); stats.Records != 0 || stats.Bytes != 0 {
		t.Errorf("left a second after the end: %+v", stats)
	}
}
