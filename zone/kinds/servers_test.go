package kinds

import (
	"errors"
	"slices"
	"testing"

	"starling/zone"
)

// newTestServers makes a zone that accepts all but "bad", and notes which keys have changed.
func newTestServers() (k *Keyval, changed *[]string) {
	changed = new([]string)
	return NewServers(ServersConfig{
		Name: "s", Expression: "servers of http", Bytes: 1 << 20,
		Check: func(_, value []byte) error {
			if string(value) == "bad" {
				return errors.New("it is bad")
			}
			return nil
		},
		Changed: func(key []byte) { *changed = append(*changed, string(key)) },
	}), changed
}

// TestChangesOfServersAreTold: each that a write here or on a peer makes, by whatever way it came, and none that loses
// or ends.
func TestChangesOfServersAreTold(t *testing.T) {
	one, toldOne := newTestServers()
	two, toldTwo := newTestServers()
	one.Set([]byte("a"), []byte("1"), NoExpire, at(0))
	one.Set([]byte("b"), []byte("2"), 1000, at(0))
	one.Flush(at(1))
	sent := deliver(t, 1, one, two, 0, 0, at(1))
	one.Delete([]byte("a"), at(2))
	one.Flush(at(2))
	deliver(t, 1, one, two, sent, 0, at(2))
	one.Tick(at(10_000))
	two.Tick(at(10_000)) // b has ended
	if want := []string{"a", "b", "a"}; !slices.Equal(*toldOne, want) {
		t.Errorf("the writer was told of %q", *toldOne)
	}
	slices.Sort((*toldTwo)[:2]) // the order of their shards
	if want := []string{"a", "b", "a"}; !slices.Equal(*toldTwo, want) {
		t.Errorf("the peer was told of %q", *toldTwo)
	}
	taught, told := newTestServers()
	one.Set([]byte("c"), []byte("3"), NoExpire, at(10_000))
	for shard := range zone.Shards {
		if piece, _, _ := one.TeachShard(shard, 0, nil, 1<<20, at(10_000)); len(piece) > 0 {
			if _, err := taught.Learn(piece, at(10_000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.Contains(*told, "c") {
		t.Errorf("who was taught was told of %q", *told)
	}
}

// TestInvalidRecordsOfAPeer: each is left out and counted; the first is named; a deletion has nothing that could be
// invalid.
func TestInvalidRecordsOfAPeer(t *testing.T) {
	lax := NewServers(ServersConfig{Name: "s", Bytes: 1 << 20})
	strict, _ := newTestServers()
	lax.Set([]byte("x"), []byte("bad"), NoExpire, at(0))
	lax.Set([]byte("y"), []byte("good"), NoExpire, at(0))
	lax.Flush(at(0))
	payload, _, _, _ := lax.Journal().Frame(lax.Journal().Tail())
	applied, err := strict.Apply(1, 1, payload, 0, at(1))
	if err != nil || applied.Invalid != 1 || applied.Won != 1 || applied.Fault == nil || applied.Fault.Error() != `key "x": it is bad` {
		t.Errorf("%+v, %v", applied, err)
	}
	mustHave(t, strict, "y", "good", 1)
	mustLack(t, strict, "x", 1)
	log := [][]byte{}
	lax.OnCommit(func(record []byte) (func() error, error) {
		log = append(log, slices.Clone(record))
		return func() error { return nil }, nil
	}, nil)
	lax.Set([]byte("z"), []byte("bad"), NoExpire, at(2))
	var found Restored
	if err := strict.Restore(log[0], &found, at(3)); err == nil {
		t.Error("a disk can bring what a peer cannot")
	}
	mustLack(t, strict, "z", 3)
	if err := lax.Set([]byte("long"), make([]byte, MaxServerChangeBytes+1), NoExpire, at(4)); err != ErrTooLong {
		t.Errorf("a change that peers take for malformed: %v", err)
	}
}

// TestLookTellsDeletedFromUnknown: and from ended.
func TestLookTellsDeletedFromUnknown(t *testing.T) {
	k, _ := newTestServers()
	for _, key := range []string{"here", "deleted"} {
		k.Set([]byte(key), []byte("v"), NoExpire, at(0))
	}
	k.Set([]byte("ends"), []byte("v"), 1000, at(0))
	k.Delete([]byte("deleted"), at(1))
	for _, c := range []struct {
		key           string
		ms            int64
		exists, known bool
	}{
		{"here", 1, true, true}, {"deleted", 1, false, true}, {"unknown", 1, false, false},
		{"ends", 999, true, true}, {"ends", 1000, false, false},
	} {
		pair, exists, known := k.Look([]byte(c.key), at(c.ms))
		if exists != c.exists || known != c.known || exists && string(pair.Value) != "v" || known && pair.Stamp == 0 {
			t.Errorf("%s at %d ms: %+v %v %v", c.key, c.ms, pair, exists, known)
		}
	}
}
