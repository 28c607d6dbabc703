package kinds

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"starling/lib/clock"
	"starling/zone"
)

const hourMS = 3_600_000

// ahead is a reading ms into a test on a machine whose wall clock is so far ahead.
func ahead(byMS, ms int64) clock.Reading {
	now := at(ms)
	now.WallMS += byMS
	return now
}

func TestReissuedRecordsAreTaken(t *testing.T) {
	wrong, right := newTestKeyval(0), newTestKeyval(0)
	wrong.Clear(ahead(hourMS, 0))
	wrong.Set([]byte("a"), []byte("wrong"), 5000, ahead(hourMS, 0))
	wrong.Set([]byte("b"), []byte("x"), NoExpire, ahead(hourMS, 0))
	wrong.Delete([]byte("b"), ahead(hourMS, 0))
	wrong.Flush(ahead(hourMS, 0))
	right.Set([]byte("b"), []byte("y"), NoExpire, at(0))
	right.Set([]byte("c"), []byte("z"), NoExpire, at(0))
	sequence := deliver(t, 1, wrong, right, 0, 0, at(100))
	mustLack(t, right, "a", 100)
	if n := wrong.Reissue(at(200)); n != 256+2 {
		t.Errorf("%d records and clears are stamped anew", n)
	}
	if n := wrong.Reissue(at(201)); n != 0 {
		t.Errorf("%d of them twice", n)
	}
	wrong.Flush(at(200))
	deliver(t, 1, wrong, right, sequence, 0, at(201))
	right.Flush(at(201))
	mustHave(t, right, "a", "wrong", 201)
	mustLack(t, right, "a", 5201)
	mustLack(t, right, "b", 201)
	mustLack(t, right, "c", 201)
	mustAgree(t, wrong, right)
	wrong.Set([]byte("d"), []byte("now"), NoExpire, at(300))
	wrong.Flush(at(300))
	if deliver(t, 1, wrong, right, sequence, 0, at(300)); right.Stats().Ahead != 256+2 {
		t.Errorf("refused: %+v", right.Stats())
	}
	mustHave(t, right, "d", "now", 300)
}

// What was stamped anew is so in the log as well: read back, however often, it does not beat what was written since.
func TestReissuedRecordsAreNewOnDiskToo(t *testing.T) {
	var longs [][]byte // of one shard, more than one piece
	for long := bytes.Repeat([]byte{'x'}, zone.MaxKeyBytes); len(longs) < 20; {
		binary.LittleEndian.PutUint64(long, binary.LittleEndian.Uint64(long)+1)
		if zone.ShardOf(zone.KeyHash(long)) == 7 {
			longs = append(longs, slices.Clone(long))
		}
	}
	wrong := NewKeyval(KeyvalConfig{Name: "k", Bytes: 16 << 20, Sync: true})
	var log [][]byte
	keep := func(record []byte) { log = append(log, slices.Clone(record)) }
	wrong.OnCommit(onDisk(keep), func(payload []byte) { t.Error("a record of the log is not waited for") })
	wrong.Set([]byte("old"), []byte("x"), NoExpire, at(0))
	wrong.Clear(ahead(hourMS, 0))
	for _, key := range []string{"a", "b", "c", "d"} {
		wrong.Set([]byte(key), []byte("wrong"), NoExpire, ahead(hourMS, 0))
	}
	wrong.Set([]byte("ends"), []byte("wrong"), 5000, ahead(hourMS, 0))
	wrong.Delete([]byte("b"), ahead(hourMS, 0))
	for _, key := range longs {
		wrong.Set(key, []byte("wrong"), NoExpire, ahead(hourMS, 0))
	}
	before := len(log)
	if n := wrong.Reissue(at(200)); n != zone.Shards+5+len(longs) {
		t.Errorf("%d records and clears are stamped anew", n)
	}
	if pieces := len(log) - before; pieces != 2 {
		t.Errorf("%d pieces in the log", pieces)
	}
	wrong.Set([]byte("c"), []byte("later"), NoExpire, at(300))
	wrong.Set([]byte("b"), []byte("back"), NoExpire, at(300))
	wrong.Delete([]byte("d"), at(300))

	back := NewKeyval(KeyvalConfig{Name: "k", Bytes: 16 << 20, Sync: true})
	for range 2 { // as a start does, which checks the log before it opens it
		var found Restored
		for _, record := range log {
			if err := back.Restore(record, &found, at(400)); err != nil {
				t.Fatal(err)
			}
		}
		for key, want := range map[string]string{"a": "wrong", "b": "back", "c": "later", "ends": "wrong", string(longs[19]): "wrong"} {
			mustHave(t, back, key, want, 400)
		}
		mustLack(t, back, "old", 400)
		mustLack(t, back, "d", 400)
		mustLack(t, back, "ends", 5201)
		mustAgree(t, wrong, back)
	}
	if back.clock.Next(at(400).WallMS, 0).TooFarAhead(at(400).WallMS) {
		t.Error("after a restart the clock is ahead")
	}
	if n := back.Reissue(at(401)); n != 0 {
		t.Errorf("%d records and clears are ahead after a restart", n)
	}
	if err := back.Restore([]byte{stateReissued, 1, 'a', 0}, new(Restored), at(500)); err == nil {
		t.Error("half a record was taken")
	}
}

// What is cleared after it was stamped anew does not come back with the log that is read a second time.
func TestReissuedAndClearedStaysCleared(t *testing.T) {
	wrong := newTestKeyval(0)
	var log [][]byte
	wrong.OnCommit(onDisk(func(record []byte) { log = append(log, slices.Clone(record)) }), func([]byte) {})
	wrong.Set([]byte("a"), []byte("wrong"), NoExpire, ahead(hourMS, 0))
	wrong.Reissue(at(200))
	wrong.Clear(at(300))
	back := newTestKeyval(0)
	for range 2 {
		for _, record := range log {
			if err := back.Restore(record, new(Restored), at(400)); err != nil {
				t.Fatal(err)
			}
		}
		mustLack(t, back, "a", 400)
		mustAgree(t, wrong, back)
	}
}

// A record that is stamped anew ends when its writer meant, whether it was written before its node's clock was set
// right or after; only the stamps of the latter are ahead, by what the former left behind.
func TestReissuedRecordsEndWhenTheyWould(t *testing.T) {
	for _, byMS := range []int64{120_000, hourMS, 48 * hourMS} {
		wrong, right := newTestKeyval(0), newTestKeyval(0)
		wrong.Set([]byte("before"), []byte("x"), 60_000, ahead(byMS, 0))
		for i := range 10 {
			wrong.Set([]byte{'a' + byte(i)}, []byte("x"), 60_000, at(1000))
		}
		session := newTestSession(60_000)
		session.Bind([]byte("s"), []byte("server"), ahead(byMS, 1000))
		session.Reissue(at(1500))
		if n := wrong.Reissue(at(1500)); n != 11 {
			t.Errorf("%d records are stamped anew", n)
		}
		wrong.Flush(at(2000))
		deliver(t, 1, wrong, right, 0, 0, at(2000))
		for _, k := range []*Keyval{wrong, right} {
			mustHave(t, k, "before", "x", 59_999)
			mustLack(t, k, "before", 60_000)
			for i := range 10 {
				mustHave(t, k, string('a'+rune(i)), "x", 60_999)
				mustLack(t, k, string('a'+rune(i)), 61_000)
			}
		}
		mustAgree(t, wrong, right)
		if _, ok := session.Lookup([]byte("s"), at(60_999+7500)); !ok {
			t.Error("the session ended too early")
		}
	}
}

// What replaced another node's write still does when it is taken back, though that node's stamps are ahead of its time.
func TestReissuedRecordsStayAboveWhatTheyReplaced(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	two.Set([]byte("a"), []byte("x"), NoExpire, at(50_000))
	two.Set([]byte("b"), []byte("x"), NoExpire, at(50_000))
	two.Flush(at(1000))
	deliver(t, 2, two, one, 0, 0, ahead(hourMS, 1000))
	one.Delete([]byte("a"), ahead(hourMS, 1500))
	one.Set([]byte("b"), []byte("y"), NoExpire, ahead(hourMS, 1600))
	one.TimeWentBack(at(hourMS).WallMS, hourMS, at(2000))
	one.Flush(at(2000))
	deliver(t, 1, one, two, 0, 0, at(2000))
	for _, k := range []*Keyval{one, two} {
		mustLack(t, k, "a", 2000)
		mustHave(t, k, "b", "y", 2000)
	}
	mustAgree(t, one, two)
}

// A pair that was written soon after a clear is not cleared by the stamps that the two get.
func TestReissuedAfterAClear(t *testing.T) {
	k := newTestKeyval(0)
	k.Set([]byte("old"), []byte("x"), NoExpire, ahead(100*hourMS, 0))
	k.Clear(ahead(100*hourMS, 100))
	k.Set([]byte("a"), []byte("x"), NoExpire, ahead(100*hourMS, 101))
	k.Reissue(at(200))
	mustHave(t, k, "a", "x", 201)
	mustLack(t, k, "old", 201)
}

// Where two nodes' clocks are set back together, a deletion still beats what it deleted, though the one node did not
// know of it.
func TestReissuedDeletionsStayDeletions(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	one.Set([]byte("a"), []byte("x"), NoExpire, ahead(hourMS, 0))
	one.Flush(ahead(hourMS, 0))
	sequence := deliver(t, 1, one, two, 0, 0, ahead(hourMS, 0))
	one.Delete([]byte("a"), ahead(hourMS, 100))
	one.TimeWentBack(at(hourMS).WallMS, hourMS, at(200))
	two.TimeWentBack(at(hourMS).WallMS, hourMS, at(900_000))
	one.Flush(at(500))
	two.Flush(at(500))
	deliver(t, 1, one, two, sequence, 0, at(500))
	deliver(t, 2, two, one, 0, 0, at(500))
	mustLack(t, one, "a", 600)
	mustLack(t, two, "a", 600)
	mustAgree(t, one, two)
}
