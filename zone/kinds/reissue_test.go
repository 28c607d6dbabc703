package kinds

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"starling/zone"
)

func TestReissuedRecordsAreTaken(t *testing.T) {
	const hourMS = 3_600_000
	wrong, right := newTestKeyval(0), newTestKeyval(0)
	wrong.Clear(at(hourMS))
	wrong.Set([]byte("a"), []byte("wrong"), 5000, at(hourMS))
	wrong.Set([]byte("b"), []byte("x"), NoExpire, at(hourMS))
	wrong.Delete([]byte("b"), at(hourMS))
	wrong.Flush(at(hourMS))
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
	const hourMS = 3_600_000
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
	wrong.Clear(at(hourMS))
	for _, key := range []string{"a", "b", "c", "d"} {
		wrong.Set([]byte(key), []byte("wrong"), NoExpire, at(hourMS))
	}
	wrong.Set([]byte("ends"), []byte("wrong"), 5000, at(hourMS))
	wrong.Delete([]byte("b"), at(hourMS))
	for _, key := range longs {
		wrong.Set(key, []byte("wrong"), NoExpire, at(hourMS))
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
	const hourMS = 3_600_000
	wrong := newTestKeyval(0)
	var log [][]byte
	wrong.OnCommit(onDisk(func(record []byte) { log = append(log, slices.Clone(record)) }), func([]byte) {})
	wrong.Set([]byte("a"), []byte("wrong"), NoExpire, at(hourMS))
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
