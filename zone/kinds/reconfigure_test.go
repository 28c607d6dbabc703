package kinds

import (
	"fmt"
	"testing"

	"starling/lib/clock"
	"starling/zone"
)

// changed is a zone that a reload can change.
type changed interface {
	zone.Shared
	Reconfigure(c Change, now clock.Reading)
	Settle(now clock.Reading) (dropped int)
}

// reload gives a zone another size, or shares it or not, as a reload does.
func reload(z changed, bytes int64, sync bool, ms int64) (dropped int) {
	info := z.Info()
	z.Reconfigure(Change{Bytes: bytes, Expression: info.Expression, Sync: sync, TimeoutMS: info.TimeoutMS,
		RateMilli: info.RateMilli}, at(ms))
	return z.Settle(at(ms))
}

// TestASmallerZoneKeepsTheNewest: what was written or used last stays, as much as fits, and nothing that is missing
// counts as deleted.
func TestASmallerZoneKeepsTheNewest(t *testing.T) {
	const pairs, bytes = 4000, zone.RecordBytes * 1000
	for _, sync := range []bool{true, false} {
		k := NewKeyval(KeyvalConfig{Name: "k", Bytes: 1 << 20, Sync: sync})
		k.SetOrigin(7)
		s := NewSession(SessionConfig{Name: "s", Bytes: 1 << 20, TimeoutMS: 1 << 30, Sync: sync})
		b := NewBucket(BucketConfig{Name: "b", Bytes: 1 << 20, RateMilli: 1, Sync: sync})
		for i := range pairs {
			key := fmt.Appendf(nil, "key%04d", i)
			if err := k.Set(key, []byte("v"), NoExpire, at(int64(i))); err != nil {
				t.Fatal(err)
			}
			if err := s.Bind(key, []byte("v"), at(int64(i))); err != nil {
				t.Fatal(err)
			}
			b.Charge(key, at(int64(i)))
		}
		k.Delete([]byte("key3999"), at(pairs))
		s.Touch([]byte("key0000"), at(pairs))
		b.Look([]byte("key0000"), at(pairs), 0)
		lineage := k.Lineage()
		for name, z := range map[string]changed{"pairs": k, "sessions": s, "buckets": b} {
			before := z.Stats().Records
			dropped := reload(z, bytes, sync, pairs+1)
			stats := z.Stats()
			if stats.RecordBytes > bytes || stats.RecordBytes < bytes*9/10 || stats.Records != before-int64(dropped) {
				t.Errorf("%s, sync %v: dropped %d of %d: %+v", name, sync, dropped, before, stats)
			}
			if info := z.Info(); info.Bytes != bytes || stats.Pending != 0 || stats.Evicted != int64(dropped) {
				t.Errorf("%s, sync %v: %+v, %+v", name, sync, info, stats)
			}
		}
		kept := k.Stats().Records
		for i := range pairs - 1 {
			key := fmt.Appendf(nil, "key%04d", i)
			_, inPairs := k.Get(key, at(pairs+2))
			if inPairs != (int64(i) >= pairs-1-kept) {
				t.Fatalf("sync %v: of %d pairs, number %d is there: %v", sync, kept, i, inPairs)
			}
		}
		if _, ok := s.Lookup([]byte("key0000"), at(pairs+2)); !ok {
			t.Errorf("sync %v: the session used last is gone", sync)
		}
		if excess, _ := b.Look([]byte("key0000"), at(pairs+2), 0); excess == 0 {
			t.Errorf("sync %v: the bucket used last is gone", sync)
		}
		if k.Lineage() == lineage || len(k.Agreed()) != 0 {
			t.Errorf("sync %v: peers would delete what a smaller zone has dropped", sync)
		}
		if sync && k.Stats().Tombstones != 1 {
			t.Error("the tombstone is gone")
		}
		if !k.Stats().Full {
			t.Error("the zone lacks pairs and is not full")
		}
		reload(k, 1<<20, sync, pairs+3)
		if k.Stats().Full {
			t.Error("the zone has room and is full")
		}
		if err := k.Set([]byte("more"), []byte("v"), NoExpire, at(pairs+4)); err != nil {
			t.Error(err)
		}
	}
}

// TestALargerZoneIsComparedWhole: the sketch of a zone that grew, or that became shared, has all of its records.
func TestALargerZoneIsComparedWhole(t *testing.T) {
	for _, before := range []bool{true, false} {
		one := NewKeyval(KeyvalConfig{Name: "k", Bytes: 64 << 10, Sync: before})
		two := newTestKeyval(0)
		for i := range 300 {
			key := fmt.Append(nil, i)
			one.Set(key, []byte("v"), NoExpire, at(int64(i)))
		}
		one.Clear(at(300))
		for i := range 200 {
			one.Set(fmt.Append(nil, i), []byte("v"), NoExpire, at(int64(400+i)))
		}
		if err := two.Merge(one, at(700)); err != nil {
			t.Fatal(err)
		}
		reload(one, 1<<20, true, 700)
		one.Set([]byte("one"), []byte("v"), NoExpire, at(701))
		two.Set([]byte("two"), []byte("v"), NoExpire, at(701))
		here, there := differ(t, one, two, 0, zone.Shards, zone.MaxSketchCells)
		if len(here) != 1 || len(there) != 1 {
			t.Errorf("shared before: %v: %d and %d records differ", before, len(here), len(there))
		}
	}
}

// TestAZoneReturnsToTheCluster: what was written and deleted while it was not shared reaches the peers, and what they
// have brings nothing back.
func TestAZoneReturnsToTheCluster(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	for _, key := range []string{"stays", "changes", "goes"} {
		one.Set([]byte(key), []byte("1"), NoExpire, at(0))
	}
	one.Flush(at(0))
	last := deliver(t, 1, one, two, 0, 0, at(0))
	one.Set([]byte("unsent"), []byte("1"), NoExpire, at(4000))
	reload(one, one.Info().Bytes, false, 5000)
	one.Set([]byte("changes"), []byte("2"), NoExpire, at(8000))
	one.Set([]byte("comes"), []byte("2"), NoExpire, at(8000))
	one.Delete([]byte("goes"), at(8000))
	if one.Flush(at(8000)) != 0 || one.Stats().Pending != 0 {
		t.Errorf("a zone that nobody shares keeps a journal: %+v", one.Stats())
	}
	reload(one, one.Info().Bytes, true, 9000)
	for shard := range zone.Shards { // it is taught, and repeats its deletions
		if payload, _, _ := two.TeachShard(shard, 0, nil, 1<<20, at(9000)); len(payload) > 0 {
			if _, err := one.Learn(payload, at(9000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	one.Flush(at(9000))
	deliver(t, 1, one, two, last, 0, at(9000))
	for _, k := range []*Keyval{one, two} {
		mustHave(t, k, "stays", "1", 9000)
		mustHave(t, k, "changes", "2", 9000)
		mustHave(t, k, "comes", "2", 9000)
		mustHave(t, k, "unsent", "1", 9000)
		mustLack(t, k, "goes", 9000)
	}
	mustAgree(t, one, two)

	sessions, peer := newTestSession(60_000), newTestSession(60_000)
	reload(sessions, sessions.Info().Bytes, false, 0)
	sessions.Bind([]byte("client"), []byte("server"), at(5000))
	reload(sessions, sessions.Info().Bytes, true, 6000)
	sessions.Flush(at(6000))
	deliver(t, 1, sessions, peer, 0, 0, at(6000))
	if server, _ := peer.Lookup([]byte("client"), at(6000)); server != "server" {
		t.Errorf("the session leads to %q", server)
	}
}

// TestAZoneBecomesShared: peers get all that it has.
func TestAZoneBecomesShared(t *testing.T) {
	one, peer := NewKeyval(KeyvalConfig{Name: "kv", Bytes: 1 << 20}), newTestKeyval(0)
	one.Set([]byte("a"), []byte("1"), NoExpire, at(0))
	reload(one, 1<<20, true, 1)
	one.Flush(at(1))
	deliver(t, 1, one, peer, 0, 0, at(1))
	mustHave(t, peer, "a", "1", 1)
	one.Delete([]byte("a"), at(2))
	one.Flush(at(2))
	deliver(t, 1, one, peer, 1, 0, at(2))
	mustLack(t, peer, "a", 2)
}

// TestCostsCountOnceOverReloads: whatever happens to `sync`, each request counts once on each node, and what has drained
// counts nowhere.
func TestCostsCountOnceOverReloads(t *testing.T) {
	const rate, bytes = 1000, 1 << 20
	key := []byte("a")
	one, two := NewBucket(BucketConfig{Name: "one", Bytes: bytes, RateMilli: rate}), newTestBucket(bytes, rate)
	one.SetOrigin(7)
	last := uint64(0)
	push := func(ms int64) {
		one.Flush(at(ms))
		last = deliver(t, 7, one, two, last, 0, at(ms))
	}
	level := func(name string, b *Bucket, ms, want int64) {
		t.Helper()
		if excess, _ := b.Look(key, at(ms), 0); excess != want {
			t.Errorf("%s counts %d after %d ms, want %d", name, excess, ms, want)
		}
	}
	one.Charge([]byte("drained"), at(-5000))
	for range 10 {
		one.Charge(key, at(0))
	}
	reload(one, bytes, true, 4000) // 4 of 10 have drained
	push(4000)
	level("the node", one, 4000, 6000)
	level("the peer", two, 4000, 6000)
	for _, name := range []string{"once", "again"} {
		one.Charge(key, at(4000)) // in a frame that no peer has yet
		one.Flush(at(4000))
		reload(one, bytes, false, 4000)
		one.Charge(key, at(4000))
		reload(one, bytes, true, 4000)
		push(4000)
		want := map[string]int64{"once": 8000, "again": 10_000}[name]
		level("the node "+name, one, 4000, want)
		level("the peer "+name, two, 4000, want)
	}
	if stats := two.Stats(); stats.Records != 1 {
		t.Errorf("the peer has %d records", stats.Records)
	}
	reload(one, bytes, false, 5000)
	one.SetOrigin(8) // another cluster: frames of the old origin must not be sent again
	if head := one.Journal().Head(); head != zone.FirstSequence {
		t.Errorf("the journal of another origin begins at %d", head)
	}
}

// TestARateChangesFromNowOn: the time before the reload drained at the rate of before.
func TestARateChangesFromNowOn(t *testing.T) {
	b := newTestBucket(1<<20, 1000)
	for range 10 {
		b.Charge([]byte("a"), at(0))
	}
	b.SetRate(100_000, at(2000))
	if excess, _ := b.Look([]byte("a"), at(2000), 0); excess != 8000 {
		t.Errorf("the excess is %d after 2 s at 1 r/s, want 8000", excess)
	}
	if excess, _ := b.Look([]byte("a"), at(2010), 0); excess != 7000 {
		t.Errorf("the excess is %d after 10 ms more at 100 r/s, want 7000", excess)
	}
	if b.Info().RateMilli != 100_000 {
		t.Error("peers are told of the rate before")
	}
}

// TestStateMovesToAnotherKeeper: after a reload, each change goes to the log of the new state, and to none without one.
func TestStateMovesToAnotherKeeper(t *testing.T) {
	k := newTestKeyval(0)
	var logs [2]int
	for i := range logs {
		k.OnCommit(func([]byte) (func() error, error) { logs[i]++; return func() error { return nil }, nil }, func([]byte) {})
		if err := k.Set([]byte("a"), []byte("1"), NoExpire, at(0)); err != nil {
			t.Fatal(err)
		}
	}
	k.OnCommitNothing()
	if err := k.Set([]byte("a"), []byte("2"), NoExpire, at(0)); err != nil || logs != [2]int{1, 1} {
		t.Errorf("%v: %v", logs, err)
	}
}
