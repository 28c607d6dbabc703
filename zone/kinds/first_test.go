package kinds

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// exchange lets two zones have what the other's journal has, and then all that is there, both ways, until nothing changes.
func exchange(t *testing.T, one, two *Keyval, now clock.Reading) {
	t.Helper()
	teach := func(from, to *Keyval) {
		for shard := range zone.Shards {
			if piece, _, _ := from.TeachShard(shard, 0, nil, 1<<20, now); len(piece) > 0 {
				if _, err := to.Mend(piece, zone.Trust{}, now); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for range 3 {
		teach(one, two)
		teach(two, one)
	}
}

// shared are two zones that hold a pair, written by a clock that was an hour ahead since half an hour before.
func shared(t *testing.T) (one, two *Keyval) {
	t.Helper()
	one, two = newTestKeyval(0), newTestKeyval(0)
	one.Set([]byte("a"), []byte("old"), NoExpire, ahead(hourMS, 1_800_000))
	one.Flush(ahead(hourMS, 1_800_000))
	deliver(t, 1, one, two, 0, 0, ahead(hourMS, 1_800_000))
	return one, two
}

// What one node deletes or replaces stays so, whichever of the two has taken stamps back before or after, and by how
// much: the copies are known by their first stamp.
func TestWhatIsReplacedDoesNotComeBackUnderAnotherStamp(t *testing.T) {
	const sinceMS, nowMS = hourMS, 1_800_100
	back := func(k *Keyval, byMS int64) { k.TimeWentBack(at(sinceMS).WallMS, byMS, at(nowMS)) }
	orders := map[string]func(one, two *Keyval, write func(now clock.Reading)){
		"taken back by the writer, before": func(one, _ *Keyval, write func(clock.Reading)) {
			back(one, hourMS)
			write(at(nowMS))
		},
		"… after": func(one, _ *Keyval, write func(clock.Reading)) {
			write(ahead(hourMS, nowMS))
			back(one, hourMS)
		},
		"… twice": func(one, _ *Keyval, write func(clock.Reading)) {
			back(one, hourMS)
			one.TimeWentBack(at(0).WallMS, 2*hourMS, ahead(-2*hourMS, nowMS))
			write(ahead(-2*hourMS, nowMS))
		},
		"… by both, less by the other": func(one, two *Keyval, write func(clock.Reading)) {
			back(one, hourMS)
			write(at(nowMS))
			back(two, hourMS/2)
		},
		"… after the write": func(one, two *Keyval, write func(clock.Reading)) {
			write(ahead(hourMS, nowMS))
			back(one, 2*hourMS)
			back(two, hourMS/2)
		},
		"… because peers refuse them": func(one, two *Keyval, write func(clock.Reading)) {
			write(ahead(hourMS, nowMS))
			back(two, hourMS/2)
			one.Reissue(ahead(-2*hourMS, nowMS))
		},
	}
	for name, order := range orders {
		for _, value := range []string{"", "new"} {
			one, two := shared(t)
			order(one, two, func(now clock.Reading) {
				if value == "" {
					if err := one.Delete([]byte("a"), now); err != nil {
						t.Fatal(err)
					}
				} else if err := one.Set([]byte("a"), []byte(value), NoExpire, now); err != nil {
					t.Fatal(err)
				}
			})
			exchange(t, one, two, ahead(hourMS, nowMS+1000))
			for i, k := range []*Keyval{one, two} {
				if got, _ := k.Get([]byte("a"), at(nowMS+1000)); string(got) != value {
					t.Errorf("%s: node %d has %q, want %q", name, i+1, got, value)
				}
			}
			mustAgree(t, one, two)
		}
	}
}

// A pair that is made again after its deletion was taken back is not the one that was deleted.
func TestWhatIsMadeAgainStays(t *testing.T) {
	one, two := shared(t)
	one.Delete([]byte("a"), ahead(hourMS, 1_800_100))
	one.TimeWentBack(at(hourMS).WallMS, hourMS, at(1_800_200))
	one.Set([]byte("a"), []byte("again"), NoExpire, at(1_800_300))
	exchange(t, one, two, ahead(hourMS, 1_800_400))
	for _, k := range []*Keyval{one, two} {
		mustHave(t, k, "a", "again", 1_800_400)
	}
	two.Delete([]byte("a"), at(1_800_500))
	exchange(t, one, two, ahead(hourMS, 1_800_600))
	for _, k := range []*Keyval{one, two} {
		mustLack(t, k, "a", 1_800_600)
	}
}

// First stamps say nothing of a write that knew nothing of a clock that was ahead: the later stamp wins, and an hour
// ahead is not later.
func TestWhoDidNotKnowOfAClockAheadIsNotBehindIt(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	one.Set([]byte("a"), []byte("ahead"), NoExpire, ahead(hourMS, 0))
	one.TimeWentBack(at(hourMS).WallMS, hourMS, at(10))
	two.Set([]byte("a"), []byte("later"), NoExpire, at(100_000))
	exchange(t, one, two, at(100_100))
	for _, k := range []*Keyval{one, two} {
		mustHave(t, k, "a", "later", 100_100)
	}
	mustAgree(t, one, two)
}

// The log and a snapshot have first stamps too.
func TestFirstStampsAreOnDisk(t *testing.T) {
	one, two := shared(t)
	var log [][]byte
	keep := func(record []byte) { log = append(log, slices.Clone(record)) }
	one.Snapshot(ahead(hourMS, 1_800_000), func(record []byte) error { keep(record); return nil })
	one.OnCommit(onDisk(keep), keep)
	one.TimeWentBack(at(hourMS).WallMS, hourMS, at(1_800_200))
	one.Set([]byte("a"), []byte("new"), NoExpire, at(1_800_300))
	var snapshot [][]byte
	one.Snapshot(at(1_800_400), func(record []byte) error { snapshot = append(snapshot, slices.Clone(record)); return nil })
	for name, disk := range map[string][][]byte{"log": log, "snapshot": snapshot} {
		again := newTestKeyval(0)
		for _, record := range disk {
			if err := again.Restore(record, new(Restored), at(1_800_500)); err != nil {
				t.Fatal(err)
			}
		}
		old := newTestKeyval(0)
		exchange(t, old, two, ahead(hourMS, 1_800_500)) // a copy of what was replaced
		exchange(t, again, old, ahead(hourMS, 1_800_600))
		for _, k := range []*Keyval{again, old} {
			if got, _ := k.Get([]byte("a"), at(1_800_600)); string(got) != "new" {
				t.Errorf("%s: %q is back", name, got)
			}
		}
	}
}

// What is stamped anew because it is too far ahead stays above what is not, in its order, however far apart it was.
func TestReissuedRecordsStayAboveWhatIsNot(t *testing.T) {
	k := newTestKeyval(0)
	k.Set([]byte("cleared"), []byte("x"), NoExpire, at(0))
	for i, ms := range []int64{0, 1, 2} { // days, so that a millisecond of them is nothing
		k.Clear(ahead(2400*hourMS*(ms+1), 0))
		k.Set(fmt.Append(nil, "a", i), []byte("x"), NoExpire, ahead(2400*hourMS*(ms+1), 0))
	}
	if n := k.Reissue(at(1000)); n != zone.Shards+1 {
		t.Errorf("%d records and clears are stamped anew", n)
	}
	mustLack(t, k, "a1", 1000)
	mustHave(t, k, "a2", "x", 1000)
	for number := range zone.Shards {
		if sh := k.store.ShardNumber(number); sh.Clear() <= 0 || sh.Clear().TooFarAhead(at(1000).WallMS) || sh.Clear().MS() <= at(1000).WallMS {
			t.Fatalf("shard %d is cleared until %d", number, sh.Clear().MS())
		}
	}
}

// First stamps live as long as tombstones, go with their records, and are no more than there is room for.
func TestFirstStampsAreForgotten(t *testing.T) {
	k := NewKeyval(KeyvalConfig{Name: "kv", Bytes: 16 << 20, Sync: true})
	for i := range maxFirsts + 1000 {
		k.Set(fmt.Append(nil, i), []byte("x"), 3*hourMS, ahead(hourMS, 0))
	}
	k.Flush(ahead(hourMS, 0))
	k.TimeWentBack(at(hourMS).WallMS, hourMS, at(0))
	if n := k.firsts.count.Load(); n != maxFirsts {
		t.Errorf("%d first stamps are kept, want %d", n, maxFirsts)
	}
	k.Tick(at(0))
	k.Clear(at(120_000))
	if n := k.firsts.count.Load(); n != 0 {
		t.Errorf("%d first stamps of what was cleared", n)
	}
	k.Set([]byte("a"), []byte("x"), NoExpire, ahead(hourMS, 200_000))
	k.Tick(at(200_000))
	k.TimeWentBack(at(hourMS).WallMS, hourMS, at(200_000))
	k.Tick(at(200_000 + TombstoneLifeMS))
	if n := k.firsts.count.Load(); n != 1 {
		t.Errorf("%d first stamps before their time, want 1", n)
	}
	k.Tick(at(200_000 + TombstoneLifeMS + 2*sweepFirstsEveryMS))
	if n := k.firsts.count.Load(); n != 0 {
		t.Errorf("%d first stamps after their time", n)
	}
}

// A release before takes a first stamp for a deletion older than everything; this one refuses what none can be.
func TestFirstStampsInPayloads(t *testing.T) {
	one, _ := shared(t)
	one.TimeWentBack(at(hourMS).WallMS, hourMS, at(1_800_200))
	shard := zone.ShardOf(zone.KeyHash([]byte("a")))
	piece, _, _ := one.TeachShard(shard, 0, nil, 1<<20, at(1_800_300))
	d := registerDecoder{Reader: zone.Read(piece)}
	d.begin(0, at(1_800_300))
	if d.Byte(); d.Uvarint() != 1<<2|headFirst {
		t.Fatal("no first stamp is before the record")
	}
	d.Bytes(1)
	if s := d.stamp(); s.MS() > 1000*24*hourMS {
		t.Errorf("as a deletion it is stamped %d ms after 1970", s.MS())
	}
	if again := newTestKeyval(0); true {
		if _, err := again.Learn(piece, at(1_800_300)); err != nil {
			t.Fatal(err)
		}
		sh := again.store.ShardNumber(shard)
		_, r := sh.Find([]byte("a"))
		want := first{stampOf(r), 0}
		if got := again.firstOf(sh, zone.KeyHash([]byte("a")), r); got.stamp <= want.stamp || got.sinceMS != at(hourMS).WallMS {
			t.Errorf("the first stamp is %d since %d", got.stamp.MS(), got.sinceMS)
		}
	}
	for name, end := range map[string]int64{"no time": -1 << 49, "too late": 1 << 49} {
		e := registerEncoder{zone: &one.registers}
		bad := append(e.Begin(nil, at(0)), byte(shard), 1<<2|headFirst, 'a')
		bad = binary.AppendVarint(e.appendStamp(bad, 0), end)
		if _, err := one.Learn(append(bad, zone.GroupEnd), at(0)); err == nil {
			t.Errorf("a first stamp of %s is taken", name)
		}
	}
}

// Who brings a copy of what was replaced is told so, also where the copy is stamped later.
func TestWhoBringsWhatWasReplacedIsTold(t *testing.T) {
	for _, value := range []string{"", "new"} {
		one, two := shared(t)
		one.TimeWentBack(at(hourMS).WallMS, hourMS, at(1_800_100))
		if value == "" {
			one.Delete([]byte("a"), at(1_800_200))
		} else {
			one.Set([]byte("a"), []byte(value), NoExpire, at(1_800_200))
		}
		one.Flush(at(1_800_200))
		head := one.Journal().Head()
		piece, _, _ := two.TeachShard(zone.ShardOf(zone.KeyHash([]byte("a"))), 0, nil, 1<<20, ahead(hourMS, 1_800_300))
		one.Apply(2, 1, piece, 0, ahead(hourMS, 1_800_300))
		if got, _ := one.Get([]byte("a"), at(1_800_300)); string(got) != value {
			t.Errorf("it is %q, want %q", got, value)
		}
		one.Flush(at(1_800_300))
		if one.Journal().Head() != head+1 {
			t.Errorf("%q is not sent again", value)
		}
	}
}

// A deletion by a clock that was ahead counts against what it deleted, though that was written before the clock was.
func TestADeletionThatIsTakenBackStillDeletes(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	one.Set([]byte("a"), []byte("x"), NoExpire, ahead(2*hourMS, 0))
	one.Flush(ahead(2*hourMS, 0))
	deliver(t, 1, one, two, 0, 0, ahead(2*hourMS, 0))
	one.Delete([]byte("a"), ahead(3*hourMS, 1000))
	one.TimeWentBack(at(3*hourMS).WallMS, 4*hourMS, ahead(-hourMS, 2000))
	exchange(t, one, two, ahead(2*hourMS, 3000))
	for _, k := range []*Keyval{one, two} {
		mustLack(t, k, "a", 3000)
	}
}

// Where nothing tells how long a clock was ahead, what is restamped wins over all that is too far ahead: what it was
// written over is not here any more, and maybe never was.
func TestWhatIsTooFarAheadWinsOverWhatItReplaced(t *testing.T) {
	for _, had := range []bool{true, false} {
		one, two := newTestKeyval(0), newTestKeyval(0)
		one.Set([]byte("a"), []byte("old"), NoExpire, ahead(hourMS, 1000))
		one.Flush(ahead(hourMS, 1000))
		deliver(t, 1, one, two, 0, 0, ahead(hourMS, 1000))
		one.Set([]byte("a"), []byte("new"), NoExpire, ahead(hourMS, 2000))
		if !had {
			knows := newTestKeyval(0)
			exchange(t, one, knows, ahead(hourMS, 2500))
			one = knows
		}
		one.Reissue(at(3000))
		exchange(t, one, two, ahead(hourMS, 4000))
		for _, k := range []*Keyval{one, two} {
			mustHave(t, k, "a", "new", 4000)
		}
	}
}

// A clock that was ahead, and is behind now, takes stamps back behind those that were right; what it replaced then is
// not back all the same, whether or not another record tells that time is behind.
func TestTakenBackTooFar(t *testing.T) {
	for _, told := range []bool{true, false} {
		one, two := newTestKeyval(0), newTestKeyval(0)
		two.Set([]byte("a"), []byte("old"), NoExpire, at(0))
		if told {
			two.Set([]byte("b"), []byte("x"), NoExpire, at(0))
		}
		two.Flush(at(0))
		deliver(t, 2, two, one, 0, 0, ahead(hourMS, 0))
		one.Set([]byte("a"), []byte("new"), NoExpire, ahead(hourMS, 1000))
		one.TimeWentBack(at(hourMS).WallMS, 2*hourMS, ahead(-hourMS, 2000))
		exchange(t, one, two, at(3000))
		for _, k := range []*Keyval{one, two} {
			mustHave(t, k, "a", "new", 3000)
		}
	}
}

// A deletion by a clock that is days behind is no older than others; nor is one that was taken back, or that is read
// from a disk by a clock that is days ahead.
func TestDeletionsOfWrongClocksAreRemembered(t *testing.T) {
	one := newTestKeyval(0)
	var log [][]byte
	one.OnCommit(onDisk(func(record []byte) { log = append(log, slices.Clone(record)) }), func([]byte) {})
	for _, key := range []string{"slow", "back"} {
		one.Set([]byte(key), []byte("x"), NoExpire, ahead(-100*hourMS, 0))
	}
	two, disk := newTestKeyval(0), newTestKeyval(0)
	one.Flush(ahead(-100*hourMS, 0))
	last := deliver(t, 1, one, two, 0, 0, at(0))
	one.Delete([]byte("slow"), ahead(-100*hourMS, 100))
	one.Delete([]byte("back"), ahead(-98*hourMS, 200))
	one.TimeWentBack(ahead(-98*hourMS, 200).WallMS, 2*hourMS, ahead(-100*hourMS, 300))
	one.Flush(ahead(-100*hourMS, 400))
	deliver(t, 1, one, two, last, 0, at(400))
	var found Restored
	for _, record := range log {
		if err := disk.Restore(record, &found, at(400)); err != nil {
			t.Fatal(err)
		}
	}
	for name, k := range map[string]*Keyval{"peer": two, "disk": disk} {
		for ms := int64(400); ms < 30_000; ms += 100 {
			k.Tick(at(ms))
		}
		if n := k.Stats().Tombstones; n != 2 {
			t.Errorf("%s: %d deletions are remembered, want 2", name, n)
		}
	}
	for ms := int64(30_000); ms < 2*TombstoneLifeMS; ms += 10_000 {
		two.Tick(at(ms))
		disk.Tick(at(ms))
	}
	if n := two.Stats().Tombstones + disk.Stats().Tombstones; n != 0 {
		t.Errorf("%d deletions are remembered for too long", n)
	}
}

// A deletion that was taken back by less than an hour lives for a whole one all the same.
func TestDeletionsThatWereTakenBackLiveAsLongAsOthers(t *testing.T) {
	k := newTestKeyval(0)
	k.Set([]byte("a"), []byte("x"), NoExpire, at(0))
	gone := write{stamp: stamp.At(at(-hourMS/2).WallMS, 0), tombstone: true}
	for _, test := range []struct {
		first first
		want  int64
	}{{first{}, hourMS / 2}, {first{stamp: stamp.At(at(hourMS).WallMS, 0)}, 0}} {
		gone.first = test.first
		if got := k.tombstoneAgeMS(&gone, room{}, at(0)); got != test.want {
			t.Errorf("with the first stamp %d it is %d ms old, want %d", gone.first.stamp, got, test.want)
		}
	}
}

// A record that was restamped was written later than its stamp tells: it is not what was deleted before.
func TestWhatIsRestampedIsNotOld(t *testing.T) {
	one, two := shared(t)
	one.TimeWentBack(at(hourMS).WallMS, 3*hourMS, ahead(-2*hourMS, 1_800_200))
	piece, _, _ := one.TeachShard(zone.ShardOf(zone.KeyHash([]byte("a"))), 0, nil, 1<<20, at(1_800_300))
	lacks := newTestKeyval(0)
	if _, err := lacks.Mend(piece, zone.Trust{GoneMS: at(1_800_000).WallMS}, at(1_800_300)); err != nil {
		t.Fatal(err)
	}
	mustHave(t, lacks, "a", "old", 1_800_400)
	var elements []zone.Element
	sketch := one.Sketch(0, zone.Shards, zone.MaxSketchCells)
	sketch.Subtract(newTestKeyval(0).Sketch(0, zone.Shards, zone.MaxSketchCells))
	elements, _, _ = sketch.Decode()
	n, kept := one.Bury(elements, at(1_800_000).WallMS, at(1_800_500))
	if n != 0 || len(elements) != 1 || !slices.Equal(kept, elements) {
		t.Errorf("%d of %d records are deleted, %d are kept", n, len(elements), len(kept))
	}
	mustHave(t, two, "a", "old", 1_800_400)
	// It is old if its first stamp is, too. What deletes it wins over its copies, under whatever stamp.
	if n, kept = one.Bury(elements, ahead(hourMS, 1_800_000).WallMS, at(1_800_500)); n != 1 || len(kept) != 0 {
		t.Errorf("%d records are deleted and %d kept although both stamps are old", n, len(kept))
	}
	exchange(t, one, two, at(1_800_600))
	mustLack(t, two, "a", 1_800_600)
}

// The same holds for a record that was restamped before.
func TestTakenBackTooFarTwice(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	two.Set([]byte("a"), []byte("old"), NoExpire, at(0))
	two.Set([]byte("b"), []byte("x"), NoExpire, at(0))
	two.Flush(at(0))
	deliver(t, 2, two, one, 0, 0, ahead(hourMS, 0))
	one.Set([]byte("a"), []byte("new"), NoExpire, ahead(hourMS, 1000))
	one.TimeWentBack(at(hourMS).WallMS, hourMS, at(2000))
	one.TimeWentBack(at(2000).WallMS, hourMS, ahead(-hourMS, 3000))
	exchange(t, one, two, at(4000))
	for _, k := range []*Keyval{one, two} {
		mustHave(t, k, "a", "new", 4000)
	}
}

// It holds, too, where another node restamped the record before, which had nothing of what it replaced.
func TestTakenBackTooFarByAnother(t *testing.T) {
	one, two, three, four := newTestKeyval(0), newTestKeyval(0), newTestKeyval(0), newTestKeyval(0)
	two.Set([]byte("a"), []byte("old"), NoExpire, at(0))
	two.Flush(at(0))
	for _, k := range []*Keyval{three, four} {
		deliver(t, 2, two, k, 0, 0, ahead(hourMS, 0))
	}
	three.Set([]byte("a"), []byte("new"), NoExpire, ahead(hourMS, 1000))
	exchange(t, three, one, ahead(hourMS, 1500))
	one.TimeWentBack(at(hourMS).WallMS, hourMS, at(2000))
	exchange(t, one, two, at(2500))
	two.TimeWentBack(at(0).WallMS, hourMS, ahead(-hourMS, 3000))
	exchange(t, two, four, at(4000))
	for _, k := range []*Keyval{two, four} {
		mustHave(t, k, "a", "new", 4000)
	}
}

// A record that wins over a restamped one by its stamp is not replaced by a write that loses to the restamped one. Here
// time went back while other records were too far ahead, so first stamps count against clocks that were right.
func TestAWriteOverTheWinnerDoesNotLose(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	one.Set([]byte("b"), []byte("too far ahead"), NoExpire, ahead(2*hourMS, 0))
	one.Set([]byte("a"), []byte("ahead"), NoExpire, ahead(24*hourMS, 68))
	one.TimeWentBack(ahead(24*hourMS, 0).WallMS, 24*hourMS, at(296))
	late := newTestKeyval(0) // a copy that comes back late, from another node or a frame
	exchange(t, one, late, at(300))
	two.Set([]byte("a"), []byte("winner"), NoExpire, at(60_000))
	exchange(t, one, two, at(60_100))
	two.Set([]byte("a"), []byte("last"), NoExpire, at(62_000))
	exchange(t, two, late, at(62_100))
	exchange(t, one, late, at(62_200))
	for _, k := range []*Keyval{one, two, late} {
		mustHave(t, k, "a", "last", 62_200)
	}
}

// Two nodes may restamp different states of a key alike: the first stamps decide, not the values.
func TestRestampedAlike(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	one.Set([]byte("a"), []byte("z, replaced"), NoExpire, ahead(hourMS, 0))
	exchange(t, one, two, ahead(hourMS, 10))
	two.Set([]byte("a"), []byte("a, new"), NoExpire, ahead(hourMS, 100))
	one.Reissue(at(200))
	two.Reissue(at(200))
	two.Flush(at(200))
	head := two.Journal().Head()
	piece, _, _ := one.TeachShard(zone.ShardOf(zone.KeyHash([]byte("a"))), 0, nil, 1<<20, at(250))
	two.Apply(1, 1, piece, 0, at(250))
	two.Flush(at(250))
	if two.Journal().Head() != head+1 {
		t.Error("the sender of the replaced value is not told")
	}
	exchange(t, one, two, at(300))
	for _, k := range []*Keyval{one, two} {
		mustHave(t, k, "a", "a, new", 300)
	}
}

// A restamped record that was deleted before its first stamp is deleted again where it still exists.
func TestWhatIsRestampedIsDeletedAgain(t *testing.T) {
	one, lacks := newTestKeyval(0), newTestKeyval(0)
	one.Set([]byte("a"), []byte("older"), NoExpire, at(-hourMS/2))
	one.Set([]byte("a"), []byte("old"), NoExpire, at(0))
	one.TimeWentBack(at(0).WallMS, hourMS/4, ahead(-hourMS/4, 100))
	piece, _, _ := one.TeachShard(zone.ShardOf(zone.KeyHash([]byte("a"))), 0, nil, 1<<20, at(200))
	if _, err := lacks.Mend(piece, zone.Trust{GoneMS: at(150).WallMS}, at(200)); err != nil {
		t.Fatal(err)
	}
	exchange(t, one, lacks, at(300))
	for _, k := range []*Keyval{one, lacks} {
		mustLack(t, k, "a", 300)
	}
}
