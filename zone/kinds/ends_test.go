package kinds

import (
	"slices"
	"testing"

	"starling/lib/clock"
	"starling/zone"
)

// Records end by the monotonic clock. These tests set the wall clock in every way and look when they end.

const dayMS = 24 * hourMS

var steps = []int64{-400 * dayMS, -dayMS, -120_000, -7000, 7000, 120_000, dayMS, 400 * dayMS}

func TestAClockThatIsSetEndsNothing(t *testing.T) {
	for _, byMS := range steps {
		k, s := newTestKeyval(0), newTestSession(8000)
		k.Set([]byte("short"), []byte("x"), 5000, at(0))
		k.Set([]byte("gone"), []byte("x"), NoExpire, at(0))
		s.Bind([]byte("s"), []byte("server"), at(0))
		if err := k.Update([]byte("short"), []byte("y"), 5000, ahead(byMS, 1000)); err != nil {
			t.Errorf("%d ms: a pair that is there is updated: %v", byMS, err)
		}
		for _, z := range []zone.Shared{k, s} {
			z.Tick(ahead(byMS, 2000))
			z.Tick(at(3000))
			z.Tick(ahead(byMS, 4000))
		}
		mustHave(t, k, "short", "y", 5999)
		mustLack(t, k, "short", 6000)
		if _, ok := s.Lookup([]byte("s"), ahead(byMS, 8999)); !ok {
			t.Errorf("%d ms: the session ended too early", byMS)
		}
		if _, ok := s.Lookup([]byte("s"), ahead(byMS, 9000)); ok {
			t.Errorf("%d ms: the session lives too long", byMS)
		}
		if pairs := slices.Collect(k.All(ahead(byMS, 2500))); len(pairs) != 2 || pairs[0].LeftMS+pairs[1].LeftMS != 3500 {
			t.Errorf("%d ms: pairs %+v", byMS, pairs)
		}
	}
}

// However the clocks of two nodes differ, and whatever has become of the sender's since, a record has as long to live
// on the one as on the other.
func TestEndsTravelBetweenClocks(t *testing.T) {
	const senderMS = 777_000_000 // the sender's monotonic clock, as the receiver's test begins
	for _, byMS := range steps {
		if byMS > 0 {
			continue // what is stamped ahead is refused
		}
		sender := func(ms int64) clock.Reading {
			return clock.Reading{WallMS: at(ms).WallMS + byMS, MonoMS: senderMS + ms}
		}
		one := newTestKeyval(0)
		one.Set([]byte("a"), []byte("x"), 60_000, sender(0))
		one.Set([]byte("b"), []byte("x"), NoExpire, sender(0))
		one.Flush(sender(2000))
		payload, _, _, _ := one.Journal().Frame(zone.FirstSequence)
		for name, apply := range map[string]func(two *Keyval, now clock.Reading) error{
			"its clock is known": func(two *Keyval, now clock.Reading) error {
				now.SenderMS = senderMS + 10_000
				_, err := two.Apply(1, zone.FirstSequence, payload, 0, now)
				return err
			},
			"its clock is not known, as that of a release before": func(two *Keyval, now clock.Reading) error {
				_, err := two.Apply(1, zone.FirstSequence, payload, 8000, now)
				return err
			},
			"it teaches": func(two *Keyval, now clock.Reading) error {
				piece, _, _ := one.TeachShard(zone.ShardOf(zone.KeyHash([]byte("a"))), 0, nil, 1000, sender(9000))
				now.SenderMS = senderMS + 10_000
				_, err := two.Learn(piece, now)
				return err
			},
		} {
			two := newTestKeyval(0)
			if err := apply(two, at(10_000)); err != nil {
				t.Fatal(err)
			}
			mustHave(t, two, "a", "x", 59_999)
			if mustLack(t, two, "a", 60_000); t.Failed() {
				t.Fatalf("%s, %d ms", name, byMS)
			}
		}
	}
}

// A tombstone lives for its hour, whatever becomes of the clock: what it deleted would come back from a peer that does
// not know of it yet.
func TestTombstonesOutliveAJumpOfTheClock(t *testing.T) {
	for _, byMS := range steps {
		one, two := newTestKeyval(0), newTestKeyval(0)
		one.Set([]byte("a"), []byte("x"), NoExpire, at(0))
		one.Flush(at(0))
		deliver(t, 1, one, two, 0, 0, at(0))
		one.Delete([]byte("a"), at(1000))
		one.Flush(at(1000))
		one.Tick(ahead(byMS, 2000))
		one.Tick(ahead(byMS, TombstoneLifeMS-1000))
		piece, _, _ := two.TeachShard(zone.ShardOf(zone.KeyHash([]byte("a"))), 0, nil, 1000, at(TombstoneLifeMS-1000))
		if _, err := one.Learn(piece, ahead(max(byMS, 0), TombstoneLifeMS-1000)); err != nil {
			t.Fatal(err)
		}
		mustLack(t, one, "a", TombstoneLifeMS-1000)
		one.Flush(ahead(byMS, TombstoneLifeMS)) // it is sent again to who has not got it
		one.Tick(ahead(byMS, TombstoneLifeMS+2000))
		if used := one.Stats().Bytes; used != 0 {
			t.Errorf("%d ms: the tombstone lives on: %d bytes", byMS, used)
		}
	}
}

// The log of a zone's state outlives the process, and so its monotonic clock. What ends is brought to the next one's by
// the wall clock, also if that was set while the first one ran: then only what is done to the clock between the two, or
// while a pair lives, is the pair's loss.
func TestEndsOutliveAProcessWhoseClockWasSet(t *testing.T) {
	for _, byMS := range steps { // the clock was wrong by so much at the start, and is set right then
		first := func(wrongMS, ms int64) clock.Reading {
			return clock.Reading{WallMS: at(ms).WallMS + wrongMS, MonoMS: at(ms).MonoMS + byMS}
		}
		one := newTestKeyval(0)
		var log [][]byte
		keep := func(record []byte) { log = append(log, slices.Clone(record)) }
		one.OnCommit(onDisk(keep), keep)
		keep(ClockRecord(first(byMS, 0)))
		one.Set([]byte("before"), []byte("x"), 60_000, first(byMS, 0))
		keep(ClockRecord(first(0, 500)))
		one.Set([]byte("mine"), []byte("x"), 60_000, first(0, 1000))
		peer := newTestKeyval(0)
		peer.Set([]byte("theirs"), []byte("x"), 60_000, clock.Reading{WallMS: at(1000).WallMS, MonoMS: 5000})
		peer.Flush(clock.Reading{WallMS: at(1000).WallMS, MonoMS: 5000})
		payload, _, _, _ := peer.Journal().Frame(zone.FirstSequence)
		now := first(0, 1000)
		now.SenderMS = 5000
		if _, err := one.Apply(2, zone.FirstSequence, payload, 0, now); err != nil {
			t.Fatal(err)
		}
		var snapshot [][]byte
		one.Snapshot(first(0, 2000), func(record []byte) error {
			snapshot = append(snapshot, slices.Clone(record))
			return nil
		})
		for name, records := range map[string][][]byte{"log": log, "snapshot": snapshot} {
			back := newTestKeyval(0)
			var found Restored
			for _, record := range records {
				if err := back.Restore(record, &found, at(30_000)); err != nil {
					t.Fatal(err)
				}
			}
			for _, key := range []string{"mine", "theirs"} {
				mustHave(t, back, key, "x", 60_999)
				mustLack(t, back, key, 61_000)
			}
			if name == "snapshot" {
				mustHave(t, back, "before", "x", 59_999)
				mustLack(t, back, "before", 60_000)
			}
			if t.Failed() {
				t.Fatalf("%s, %d ms", name, byMS)
			}
		}
	}
}

// What was restored by a clock that was set since ends when a peer says that it does, which has lived through it all:
// later or earlier.
func TestAPeerKnowsBetterWhenRestoredPairsEnd(t *testing.T) {
	for _, byMS := range []int64{-40_000, 40_000} {
		peer, one := newTestKeyval(0), newTestKeyval(0)
		var log [][]byte
		keep := func(record []byte) { log = append(log, slices.Clone(record)) }
		one.OnCommit(onDisk(keep), keep)
		one.Set([]byte("a"), []byte("x"), 60_000, at(0))
		one.Flush(at(0))
		deliver(t, 1, one, peer, 0, 0, at(0))
		back := newTestKeyval(0)
		for range 2 { // the log is checked before it is opened
			for _, record := range log {
				if err := back.Restore(record, new(Restored), ahead(byMS, 10_000)); err != nil {
					t.Fatal(err)
				}
			}
		}
		piece, _, _ := peer.TeachShard(zone.ShardOf(zone.KeyHash([]byte("a"))), 0, nil, 1000, at(11_000))
		for range 2 {
			if _, err := back.Learn(piece, ahead(max(byMS, 0), 11_000)); err != nil {
				t.Fatal(err)
			}
		}
		mustHave(t, back, "a", "x", 59_999)
		mustLack(t, back, "a", 60_000)
		mustAgree(t, peer, back)
	}
}

// A pair that is read from a disk after the clock was set back ends too late. A node that has had the pair all the time
// knows better, also if the other has restamped it; one that has read it from a disk, too, believes the other.
func TestAnEndFromADiskDoesNotSpread(t *testing.T) {
	for _, restamped := range []bool{false, true} {
		one, two := newTestKeyval(0), newTestKeyval(0)
		var log [][]byte
		one.OnCommit(onDisk(func(record []byte) { log = append(log, slices.Clone(record)) }), func([]byte) {})
		log = append(log, ClockRecord(at(0)))
		one.Set([]byte("a"), []byte("x"), 60_000, at(0))
		one.Flush(at(0))
		deliver(t, 1, one, two, 0, 0, at(0))
		disk := newTestKeyval(0)
		var found Restored
		for _, record := range log {
			if err := disk.Restore(record, &found, clock.Reading{WallMS: at(-hourMS).WallMS, MonoMS: at(1000).MonoMS}); err != nil {
				t.Fatal(err)
			}
		}
		if restamped {
			if disk.Reissue(ahead(-hourMS, 1000)) != 1 {
				t.Fatal("it is not restamped")
			}
			two.TimeWentBack(at(0).WallMS, 2*hourMS, ahead(-2*hourMS, 1000)) // so that the other stamp wins
		}
		teach := func(from, to *Keyval, now clock.Reading) {
			now.SenderMS = now.MonoMS
			piece, _, _ := from.TeachShard(zone.ShardOf(zone.KeyHash([]byte("a"))), 0, nil, 1<<20, now)
			if _, err := to.Mend(piece, zone.Trust{}, now); err != nil {
				t.Fatal(err)
			}
		}
		teach(disk, two, ahead(-hourMS, 2000))
		mustHave(t, two, "a", "x", 59_999)
		mustLack(t, two, "a", 60_001)
		if !restamped {
			teach(two, disk, at(3000))
			mustLack(t, disk, "a", 60_001)
		}
	}
}
