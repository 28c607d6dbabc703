package kinds

import (
	"fmt"
	"testing"
)

// dying is a zone with the log of its writes, as another process of this node has them.
type dying struct {
	*Keyval
	log [][]byte
}

func newDying(from *Keyval, ms int64) *dying {
	d := &dying{Keyval: newTestKeyval(0)}
	d.log = append(d.log, ClockRecord(at(ms)))
	for shard := range 256 {
		if payload, _, _ := from.TeachShard(shard, 0, nil, 1<<20, at(ms)); len(payload) > 0 {
			d.Learn(payload, at(ms))
			d.log = append(d.log, payload)
		}
	}
	d.OnCommit(func(record []byte) (func() error, error) {
		d.log = append(d.log, append([]byte{}, record...))
		return func() error { return nil }, nil
	}, func([]byte) {})
	return d
}

// mergeInto merges the log into the zone of the process that lives on.
func (d *dying) mergeInto(t *testing.T, k *Keyval, ms int64) {
	t.Helper()
	beside := k.Beside()
	var found Restored
	for _, record := range d.log {
		if err := beside.Restore(record, &found, at(ms)); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Merge(beside, at(ms+20)); err != nil { // a long log takes its time
		t.Fatal(err)
	}
}

// What only the log of a killed process has is merged: its writes and deletions count, those that this process made
// later count too, and nothing that either deleted returns. Peers get what they lack.
func TestTheLogOfAKilledProcessIsMerged(t *testing.T) {
	for _, shared := range []bool{true, false} {
		t.Run(fmt.Sprintf("shared: %v", shared), func(t *testing.T) {
			k := NewKeyval(KeyvalConfig{Name: "kv", Bytes: 1 << 20, Sync: shared})
			k.Publish() // as while there are two processes
			for _, key := range []string{"changed", "deleted", "later", "gone", "same"} {
				k.Set([]byte(key), []byte("before"), NoExpire, at(0))
			}
			k.Set([]byte("ends"), []byte("v"), 60_000, at(0))
			d := newDying(k, 1)
			peer := newTestKeyval(0)
			k.Flush(at(1))
			head := deliver(t, 1, k, peer, 0, 0, at(1))

			d.Set([]byte("changed"), []byte("new"), NoExpire, at(2))
			d.Delete([]byte("deleted"), at(2))
			d.Set([]byte("added"), []byte("new"), NoExpire, at(2))
			d.Set([]byte("brief"), []byte("new"), NoExpire, at(2))
			d.Delete([]byte("brief"), at(3))
			d.Set([]byte("later"), []byte("old"), NoExpire, at(2))
			k.Set([]byte("later"), []byte("newest"), NoExpire, at(4))
			k.Delete([]byte("gone"), at(4))
			d.mergeInto(t, k, 5)
			want := map[string]string{"changed": "new", "added": "new", "later": "newest", "same": "before", "ends": "v"}
			check := func(z *Keyval) {
				t.Helper()
				for key, value := range want {
					mustHave(t, z, key, value, 6)
				}
				for _, key := range []string{"deleted", "gone", "brief"} {
					mustLack(t, z, key, 6)
				}
			}
			check(k)
			if pending := k.Stats().Pending; pending > 6 {
				t.Errorf("%d changes are sent: also pairs that are the same", pending)
			}
			k.Flush(at(6))
			deliver(t, 1, k, peer, head, 0, at(6))
			check(peer)
			k.Unpublish()
			check(k)
		})
	}
}

// A clear that only the log has empties this zone and those of peers, but not of what came later.
func TestAClearInALogIsMerged(t *testing.T) {
	k, peer := newTestKeyval(0), newTestKeyval(0)
	k.Set([]byte("a"), []byte("1"), NoExpire, at(0))
	k.Flush(at(0))
	head := deliver(t, 1, k, peer, 0, 0, at(0))
	d := newDying(k, 1)
	d.Clear(at(2))
	d.Set([]byte("b"), []byte("2"), NoExpire, at(3))
	d.mergeInto(t, k, 4)
	k.Flush(at(4))
	deliver(t, 1, k, peer, head, 0, at(4))
	for _, z := range []*Keyval{k, peer} {
		mustLack(t, z, "a", 5)
		mustHave(t, z, "b", "2", 5)
	}
}

// Pairs that end, and that both processes have, are not sent again because their ends were converted with another wall
// clock: a log has all pairs of its zone.
func TestPairsThatEndAreNotSentAgain(t *testing.T) {
	k := newTestKeyval(60_000)
	for i := range 100 {
		k.Set(fmt.Append(nil, i), []byte("v"), NoExpire, at(0))
	}
	d := newDying(k, 1)
	k.Flush(at(1))
	d.log[0] = ClockRecord(at(1)) // and the machine's clock is set 5 ms back
	beside, now := k.Beside(), at(2)
	now.WallMS -= 5
	var found Restored
	for _, record := range d.log {
		if err := beside.Restore(record, &found, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Merge(beside, at(2)); err != nil {
		t.Fatal(err)
	}
	if stats := k.Stats(); stats.Pending != 0 || stats.Records != 100 {
		t.Errorf("%+v", stats)
	}
}

// A zone without room for what a log has says so; what fits is merged.
func TestALogThatDoesNotFit(t *testing.T) {
	k := NewKeyval(KeyvalConfig{Name: "kv", Bytes: 32 << 10, Sync: true})
	d := newDying(k, 0)
	for i := range 600 { // the log of a larger zone
		d.Set(fmt.Append(nil, i), []byte("v"), NoExpire, at(int64(i)))
	}
	d.mergeInto(t, k, 1000)
	if stats := k.Stats(); stats.Refused == 0 || stats.Records == 0 || stats.Records+stats.Refused != 600 {
		t.Errorf("%+v", stats)
	}
}
