package kinds

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"starling/lib/clock"
	"starling/zone"
)

func smallKeyval(timeoutMS int64) *Keyval {
	return NewKeyval(KeyvalConfig{Name: "k", Bytes: 32 << 10, TimeoutMS: timeoutMS, Sync: true})
}

// fillUp writes pairs until there is no room, and returns how many.
func fillUp(t *testing.T, k *Keyval, name string, ms int64) (n int) {
	t.Helper()
	for ; ; n++ {
		switch err := k.Add(fmt.Appendf(nil, "%s%d", name, n), []byte("value"), NoExpire, at(ms)); {
		case errors.Is(err, ErrFull):
			return n
		case err != nil:
			t.Fatal(err)
		}
	}
}

// Pairs come and go in a small zone that nobody flushes: what they leave behind never stands in the way.
func TestDeletesUseUpNothing(t *testing.T) {
	k := smallKeyval(0)
	for i := range 100_000 {
		key := fmt.Appendf(nil, "key%d", i)
		if err := k.Add(key, []byte("value"), NoExpire, at(int64(i))); err != nil {
			t.Fatalf("after %d pairs: %v, %+v", i, err, k.Stats())
		}
		if err := k.Delete(key, at(int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	stats := k.Stats()
	if stats.Records != 0 || stats.RecordBytes != 0 || stats.Full || stats.Bytes > 32<<10+1<<20 {
		t.Errorf("%+v", stats)
	}
	if stats.Tombstones == 0 || stats.TombstoneBytes != stats.Bytes || stats.GaveUp == 0 || k.GaveUpMS() == 0 {
		t.Errorf("no tombstones are left, or given up: %+v", stats)
	}
}

// What deleted pairs had is there for new ones at once, all of it, whether the pairs are of one size or of another.
func TestAFullZoneTakesAsManyAsAreDeleted(t *testing.T) {
	for _, size := range []int{5, 200} {
		k := smallKeyval(0)
		n := fillUp(t, k, "old", 0)
		if !k.Stats().Full {
			t.Errorf("a zone that refuses writes is not full: %+v", k.Stats())
		}
		freed := int64(0)
		for i := range 100 {
			key := fmt.Appendf(nil, "old%d", i)
			if err := k.Delete(key, at(1)); err != nil {
				t.Fatal(err)
			}
			freed += zone.CostBytes(len(key), len("value"))
		}
		if k.Stats().Full {
			t.Errorf("a zone that has room is full: %+v", k.Stats())
		}
		fits := int(freed / zone.CostBytes(5, size))
		for i := range fits {
			if err := k.Add(fmt.Appendf(nil, "new%02d", i), make([]byte, size), NoExpire, at(1)); err != nil {
				t.Fatalf("%d of %d new pairs of %d bytes: %v, %+v", i, fits, size, err, k.Stats())
			}
		}
		if got := k.Len(); got != n-100+fits {
			t.Errorf("%d pairs, want %d", got, n-100+fits)
		}
	}
}

// A peer's pairs and sessions find room too, and a session is not dropped while a tombstone is left to give up.
func TestTombstonesGiveWayToWhatPeersSend(t *testing.T) {
	k, other := smallKeyval(0), newTestKeyval(0)
	n := fillUp(t, k, "old", 0)
	for i := range n {
		k.Delete(fmt.Appendf(nil, "old%d", i), at(1))
	}
	for i := range n {
		other.Set(fmt.Appendf(nil, "new%d", i), []byte("value"), NoExpire, at(2))
	}
	other.Resize(100, 8192)
	other.Flush(at(2))
	for sequence := uint64(1); sequence < other.Journal().Head(); sequence++ {
		payload, _, _, _ := other.Journal().Frame(sequence)
		if _, err := k.Apply(2, sequence, payload, 0, at(3)); err != nil {
			t.Fatal(err)
		}
	}
	if stats := k.Stats(); stats.Records != int64(n) || stats.Refused != 0 || !stats.Full {
		t.Errorf("%+v, want %d records, and full again", stats, n)
	}

	s := NewSession(SessionConfig{Name: "s", Bytes: 32 << 10, TimeoutMS: 60_000, Sync: true})
	if err := s.Bind([]byte("stays"), []byte("server"), at(0)); err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		key := fmt.Appendf(nil, "session%d", i)
		if err := s.Bind(key, []byte("server"), at(int64(i))); err != nil {
			t.Fatal(err)
		}
		s.Delete(key, at(int64(i)))
	}
	if server, _ := s.Lookup([]byte("stays"), at(10_000)); server != "server" || s.Stats().Evicted != 0 {
		t.Errorf("tombstones drove sessions out: %+v", s.Stats())
	}
}

// The deletion of what ends by itself is remembered no longer than it would have lived; of what never ends, for the
// whole time.
func TestTombstonesLiveNoLongerThanWhatTheyDeleted(t *testing.T) {
	tests := []struct {
		timeoutMS, expireMS, lifeMS int64
	}{
		{5000, NoExpire, 5000 + endedSlackMS},
		{5000, 60_000, 60_000 + endedSlackMS},
		{0, 5000, TombstoneLifeMS},
		{0, NoExpire, TombstoneLifeMS},
		{2 * TombstoneLifeMS, NoExpire, TombstoneLifeMS},
	}
	for _, test := range tests {
		k := smallKeyval(test.timeoutMS)
		k.Set([]byte("a"), []byte("x"), test.expireMS, at(0))
		k.Delete([]byte("a"), at(0))
		k.Flush(at(0))
		k.Tick(at(test.lifeMS - 1000))
		if got := k.Stats().Tombstones; got != 1 {
			t.Errorf("%+v: forgotten too early", test)
		}
		if k.Tick(at(test.lifeMS + 1000)); k.Stats().Bytes != 0 {
			t.Errorf("%+v: the tombstone lives on", test)
		}
	}
}

// A peer that brings what was deleted here gets the deletion, with the next frame.
func TestWhoBringsADeletedPairIsTold(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	for _, k := range []*Keyval{one, two} {
		k.Set([]byte("a"), []byte("x"), NoExpire, at(0))
		k.Flush(at(0))
	}
	one.Delete([]byte("a"), at(10))
	one.Flush(at(10))
	before := one.Journal().Head()
	here, there := differ(t, two, one, 0, zone.Shards, zone.MinSketchCells)
	if len(here) != 1 || len(there) != 1 {
		t.Fatalf("%v and %v differ, want the pair and its tombstone", here, there)
	}
	piece, _, _ := two.AppendRecords(here, nil, 1000, at(20))
	applied, err := one.Mend(piece, zone.Trust{}, at(20))
	if err != nil || applied.Lost != 1 || applied.Deleted != 1 {
		t.Errorf("%+v, %v, want a pair that was deleted just now", applied, err)
	}
	one.Flush(at(20))
	payload, _, _, ok := one.Journal().Frame(before)
	if !ok {
		t.Fatal("the deletion is not sent again")
	}
	if _, err := two.Apply(1, before, payload, 0, at(20)); err != nil {
		t.Fatal(err)
	}
	mustLack(t, two, "a", 20)
	mustAgree(t, one, two)
}

// The tombstones that a member that is away may need are given up last: of what was there when it went, and written
// after all agreed.
func TestNeededTombstonesAreGivenUpLast(t *testing.T) {
	const goneMS = 100_000
	k := smallKeyval(0)
	set := func(key string, ms int64) { k.Set([]byte(key), []byte("v"), NoExpire, at(ms)) }
	set("agreed on", 1000)
	set("just before it went", goneMS-2000)
	k.Protect([]zone.Lag{{ThroughMS: at(goneMS - 9000).WallMS, HeldMS: at(goneMS).WallMS, MaybeMS: at(goneMS).WallMS}})
	for _, key := range []string{"agreed on", "just before it went"} {
		k.Delete([]byte(key), at(goneMS+10_000))
	}
	k.Flush(at(goneMS + 10_000))
	for i := range 16_000 {
		key := fmt.Appendf(nil, "later%d", i)
		k.Set(key, []byte("v"), NoExpire, at(goneMS+20_000))
		k.Delete(key, at(goneMS+20_000))
		k.Flush(at(goneMS + 20_000))
	}
	tombstoneOf := func(key string) bool {
		hash := zone.KeyHash([]byte(key))
		return len(k.Tombstones([]zone.Element{{Key: hash, Version: 1}})) == 1
	}
	if tombstoneOf("agreed on") || !tombstoneOf("just before it went") {
		t.Errorf("agreed on: %v, just before it went: %v", tombstoneOf("agreed on"), tombstoneOf("just before it went"))
	}
	k.Protect(nil)
	for i := range 16_000 {
		key := fmt.Appendf(nil, "after%d", i)
		k.Set(key, []byte("v"), NoExpire, at(goneMS+30_000))
		k.Delete(key, at(goneMS+30_000))
	}
	if tombstoneOf("just before it went") {
		t.Error("nobody is away, and the oldest tombstone is kept")
	}
}

// Many tombstones that the member needs are older than all others. They are in the shards that are searched first, and
// stay in them as long as it is away.
func TestManyNeededTombstonesOutliveYoungerOnes(t *testing.T) {
	const goneMS, needed, noticedMS = 100_000, 8000, 10_000
	k := smallKeyval(0)
	var of []zone.Element
	for i := range needed {
		key := fmt.Appendf(nil, "needed%d", i)
		of = append(of, zone.Element{Key: zone.KeyHash(key), Version: 1})
	}
	slices.SortFunc(of, zone.Element.Compare)
	k.Protect([]zone.Lag{
		{ThroughMS: at(goneMS - 9000).WallMS, HeldMS: at(goneMS).WallMS, MaybeMS: at(goneMS + noticedMS).WallMS},
	})
	cycle := func(name string, n int, ms int64) {
		for i := range n {
			key := fmt.Appendf(nil, "%s%d", name, i)
			k.Set(key, []byte("v"), NoExpire, at(ms))
			k.Delete(key, at(ms))
			k.Flush(at(ms))
		}
	}
	cycle("needed", needed, goneMS-1000)
	for _, later := range []struct {
		name    string
		afterMS int64
	}{{"before it was noticed", 1000}, {"after it was noticed", noticedMS + 1000}} {
		cycle(later.name, 15_000, goneMS+later.afterMS)
		if have := len(k.Tombstones(of)); have != needed {
			t.Errorf("%s: %d of %d needed tombstones are left", later.name, have, needed)
		}
	}
}

// What a zone had no room for makes it incomparable as long as it would have none, and no longer.
func TestAZoneThatHasRoomAgainIsCompared(t *testing.T) {
	one, two := smallKeyval(0), newTestKeyval(0)
	n := fillUp(t, one, "own", 0)
	for i := range n {
		two.Set(fmt.Appendf(nil, "more%d", i), []byte("value"), NoExpire, at(1))
	}
	two.Resize(100, 8192)
	two.Flush(at(1))
	for sequence := uint64(1); sequence < two.Journal().Head(); sequence++ {
		payload, _, _, _ := two.Journal().Frame(sequence)
		if _, err := one.Apply(2, sequence, payload, 0, at(1)); err != nil {
			t.Fatal(err)
		}
	}
	var sums [zone.Shards]uint64
	if one.Digests(&sums) || !one.Stats().Full {
		t.Fatalf("comparable or not full: %+v", one.Stats())
	}
	for i := range n {
		one.Delete(fmt.Appendf(nil, "own%d", i), at(2))
	}
	if !one.Digests(&sums) || one.Stats().Full {
		t.Errorf("not comparable, or full: %+v", one.Stats())
	}
}

// A zone is full when it would refuse the next write of even the smallest pair, whether or not one was refused before.
func TestAZoneIsFullWhenItRefusesTheSmallestPair(t *testing.T) {
	k := smallKeyval(0)
	for i := 0; ; i++ {
		full := k.Stats().Full
		err := k.Add([]byte{byte(i), byte(i >> 8), 'k'}, []byte("v"), NoExpire, at(0))
		if refused := errors.Is(err, ErrFull); full != refused {
			t.Fatalf("pair %d: full is %v, the write says %v, %+v", i, full, err, k.Stats())
		}
		if err != nil {
			break
		}
	}
	if k.Delete([]byte{0, 0, 'k'}, at(1)); k.Stats().Full {
		t.Errorf("a zone with room for a pair is full: %+v", k.Stats())
	}
	if k.Add([]byte("new"), []byte("v"), NoExpire, at(1)); !k.Stats().Full {
		t.Errorf("a zone without room is not full: %+v", k.Stats())
	}
}

// crowdOut makes a zone give up all tombstones that it has.
func crowdOut(t *testing.T, k *Keyval, ms int64) {
	t.Helper()
	for i := range 1000 {
		key := fmt.Appendf(nil, "crowd%d.%d", ms, i)
		if err := k.Add(key, []byte("x"), NoExpire, at(ms)); err != nil {
			t.Fatal(err)
		}
		k.Delete(key, at(ms))
		k.Flush(at(ms))
	}
}

// A frame with a pair was held back on its way until the deletion of the pair was given up. The pair is in doubt: repair brings it, if it is still there when
// nobody can have missed the deletion any more. What was written later is in no doubt.
func TestAPairHeldBackIsInDoubt(t *testing.T) {
	one := NewKeyval(KeyvalConfig{Name: "k", Bytes: 32 << 10, TombstoneBytes: 4 << 10, Sync: true})
	two, three := newTestKeyval(0), newTestKeyval(0)
	two.Set([]byte("deleted"), []byte("x"), NoExpire, at(0))
	two.Flush(at(0))
	heldBack, _, _, _ := two.Journal().Frame(1)
	if _, err := three.Apply(2, 1, heldBack, 0, at(1)); err != nil {
		t.Fatal(err)
	}
	three.Delete([]byte("deleted"), at(2))
	three.Flush(at(2))
	deletion, _, _, _ := three.Journal().Frame(1)
	if _, err := one.Apply(3, 1, deletion, 0, at(3)); err != nil {
		t.Fatal(err)
	}
	crowdOut(t, one, 4)
	if one.Stats().GaveUp < 500 {
		t.Fatalf("the tombstones are still there: %+v", one.Stats())
	}
	if applied, err := one.Apply(2, 1, heldBack, 10, at(10)); err != nil || applied.Doubted != 1 {
		t.Errorf("%+v, %v, want a pair in doubt", applied, err)
	}
	mustLack(t, one, "deleted", 10)

	pair := []zone.Element{elementOfKey(two, "deleted")}
	repair, _, _ := two.AppendRecords(pair, nil, 1000, at(10))
	if applied, err := one.Mend(repair, zone.Trust{Doubts: true}, at(10)); err != nil || applied.Doubted != 1 {
		t.Errorf("%+v, %v, want a pair in doubt", applied, err)
	}
	mustLack(t, one, "deleted", 10)
	if applied, err := one.Mend(repair, zone.Trust{}, at(10)); err != nil || applied.Won != 1 {
		t.Errorf("%+v, %v, want a pair that is still there after the doubt", applied, err)
	}

	two.Set([]byte("later"), []byte("y"), NoExpire, at(11))
	two.Flush(at(11))
	frame, _, _, _ := two.Journal().Frame(2)
	if applied, err := one.Apply(2, 2, frame, 0, at(12)); err != nil || applied.Won != 1 {
		t.Errorf("%+v, %v, want a pair without doubt", applied, err)
	}
}

// A zone that was taught has not given up deletions. It doubts what was stamped before, but does not make its peers delete it.
// If time goes back, the mark does, too: what is written from then on is in no doubt.
func TestAZoneThatWasTaughtDoubtsButDeletesNothing(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	one.MayLackDeletions(ahead(hourMS, 5).WallMS)
	if one.GaveUpMS() != 0 {
		t.Errorf("it gave up deletions until %d", one.GaveUpMS())
	}
	arrives := func(key string, now clock.Reading, doubted int) {
		t.Helper()
		two.Set([]byte(key), []byte("x"), NoExpire, now)
		repair, _, _ := two.AppendRecords([]zone.Element{elementOfKey(two, key)}, nil, 1000, now)
		applied, err := one.Mend(repair, zone.Trust{Doubts: true}, now)
		if err != nil || applied.Doubted != doubted || applied.Won != 1-doubted {
			t.Errorf("%s: %+v, %v, want %d in doubt", key, applied, err, doubted)
		}
	}
	arrives("before", ahead(hourMS, 5), 1)
	arrives("after", ahead(hourMS, 6), 0)
	one.TimeWentBack(at(0).WallMS, hourMS, at(7))
	two.TimeWentBack(at(0).WallMS, hourMS, at(7))
	arrives("later", at(70_000), 0)
}

func elementOfKey(k *Keyval, key string) zone.Element {
	hash := zone.KeyHash([]byte(key))
	sh := k.store.Shard(hash)
	sh.Lock()
	defer sh.Unlock()
	_, r := sh.Find([]byte(key))
	return elementOf(sh, hash, r)
}

// Of a frame that may bring back what was deleted, who comes late gets the deletions and clears.
func TestDeletionsOfAFrame(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	for _, k := range []*Keyval{one, two} {
		k.Set([]byte("deleted"), []byte("x"), NoExpire, at(0))
		k.Flush(at(0))
	}
	one.Delete([]byte("deleted"), at(1))
	one.Set([]byte("written"), []byte("y"), NoExpire, at(1))
	one.Flush(at(1))
	for sequence := uint64(2); sequence < one.Journal().Head(); sequence++ {
		whole, _, _, _ := one.Journal().Frame(sequence)
		if _, err := two.Apply(1, sequence, one.Deletions(whole), 0, at(2)); err != nil {
			t.Fatal(err)
		}
	}
	mustLack(t, two, "deleted", 2)
	mustLack(t, two, "written", 2)
	if got := two.Stats().Tombstones; got != 1 {
		t.Errorf("%d tombstones, want 1", got)
	}
	one.Clear(at(3))
	one.Flush(at(3))
	two.Set([]byte("cleared"), []byte("z"), NoExpire, at(2))
	whole, _, _, _ := one.Journal().Frame(one.Journal().Head() - 1)
	if _, err := two.Apply(1, 9, one.Deletions(whole), 0, at(4)); err != nil {
		t.Fatal(err)
	}
	mustLack(t, two, "cleared", 4)
}

// After a restart the deletions are told again that were not agreed on: what the process before had still to send is lost.
func TestDeletionsAreToldAgain(t *testing.T) {
	var log [][]byte
	one := newTestKeyval(0)
	keep := func(record []byte) { log = append(log, append([]byte(nil), record...)) }
	one.OnCommit(func(record []byte) (func() error, error) { keep(record); return func() error { return nil }, nil }, keep)
	for i, ms := range []int64{10, 20} {
		one.Set([]byte{'a' + byte(i)}, []byte("x"), NoExpire, at(ms))
		one.Delete([]byte{'a' + byte(i)}, at(ms+1))
	}
	two, other := newTestKeyval(0), newTestKeyval(0)
	for i, ms := range []int64{10, 20} {
		other.Set([]byte{'a' + byte(i)}, []byte("x"), NoExpire, at(ms))
	}
	var found Restored
	for _, record := range log {
		if err := two.Restore(record, &found, at(30)); err != nil {
			t.Fatal(err)
		}
	}
	two.TellDeletions(at(15).WallMS)
	two.Flush(at(30))
	if got := two.Journal().Head(); got != 2 {
		t.Fatalf("%d frames, want one", got-1)
	}
	frame, records, _, _ := two.Journal().Frame(1)
	if _, err := other.Apply(1, 1, frame, 0, at(31)); err != nil || records != 1 {
		t.Errorf("%d records in the frame, %v, want 1", records, err)
	}
	mustLack(t, other, "b", 31)
	if got, _ := other.Get([]byte("a"), at(31)); string(got) != "x" {
		t.Errorf("a is %q: a deletion that all agreed on is told again", got)
	}
}

// A log that is written anew has no tombstones that were given up, but says that some were. A release before takes the mark for an agreement with nobody.
func TestThatDeletionsWereGivenUpOutlastsARestart(t *testing.T) {
	one := NewKeyval(KeyvalConfig{Name: "k", Bytes: 32 << 10, TombstoneBytes: 4 << 10, Sync: true})
	one.SetOrigin(7)
	one.KeepAgreed(zone.Agreement{Lineage: 8, ThroughMS: at(1).WallMS})
	crowdOut(t, one, 2)
	if one.GaveUpMS() != at(2).WallMS {
		t.Fatalf("no tombstone was given up: %d", one.GaveUpMS())
	}
	two := newTestKeyval(0)
	var found Restored
	err := one.Snapshot(at(3), func(record []byte) error { return two.Restore(record, &found, at(3)) })
	if err != nil {
		t.Fatal(err)
	}
	if two.GaveUpMS() != at(2).WallMS || two.Lineage() != 7 {
		t.Errorf("it knows of deletions given up until %d, in lineage %d; want %d and 7", two.GaveUpMS(), two.Lineage(), at(2).WallMS)
	}
	if agreed := two.Agreed(); len(agreed) != 1 || agreed[0].Lineage != 8 {
		t.Errorf("it agreed with %v, want lineage 8 only", agreed)
	}
}
