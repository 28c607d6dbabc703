package kinds

import "testing"

// A zone without sync that is published sends what changes from then on, deletions too, and teaches what was there.
func TestAPublishedZoneKeepsAJournal(t *testing.T) {
	old := NewKeyval(KeyvalConfig{Name: "kv", Bytes: 1 << 20})
	heir := newTestKeyval(0)
	old.Set([]byte("early"), []byte("1"), NoExpire, at(0))
	if old.Flush(at(0)) != 0 {
		t.Error("a zone that nobody shares keeps a journal")
	}
	old.Publish()
	for shard := range 256 {
		payload, _, _ := old.TeachShard(shard, 0, nil, 1<<20, at(1))
		if len(payload) == 0 {
			continue
		}
		if _, err := heir.Learn(payload, at(1)); err != nil {
			t.Fatal(err)
		}
	}
	mustHave(t, heir, "early", "1", 2)
	old.Delete([]byte("early"), at(3))
	old.Set([]byte("late"), []byte("2"), NoExpire, at(3))
	old.Flush(at(3))
	deliver(t, 1, old, heir, 0, 0, at(4))
	mustLack(t, heir, "early", 5)
	mustHave(t, heir, "late", "2", 5)

	old.Set([]byte("unsent"), []byte("3"), NoExpire, at(6))
	old.Unpublish()
	stats := old.Stats()
	if stats.Pending != 0 || stats.Tombstones != 0 || stats.TombstoneBytes != 0 || stats.Records != 2 {
		t.Errorf("%+v", stats)
	}
	mustHave(t, old, "unsent", "3", 7)
	old.Delete([]byte("late"), at(8))
	old.Delete([]byte("unsent"), at(8))
	if stats := old.Stats(); stats.Pending != 0 || stats.Bytes != 0 {
		t.Errorf("after it was unpublished: %+v", stats)
	}
}

// A zone whose state a reload has taken away keeps deletions over an upgrade that failed: another reload can bring back
// the state, which has what was deleted.
func TestAPublishedZoneKeepsDeletionsForItsState(t *testing.T) {
	k := NewKeyval(KeyvalConfig{Name: "kv", Bytes: 1 << 20})
	k.Set([]byte("a"), []byte("1"), NoExpire, at(0))
	state := newDying(k, 1)
	k.OnCommitNothing()
	k.Delete([]byte("a"), at(2))
	k.Publish()
	k.Unpublish()
	state.mergeInto(t, k, 3)
	mustLack(t, k, "a", 4)
}

// The costs of a published limit count once at the other process, and go on here.
func TestAPublishedLimitSendsItsCosts(t *testing.T) {
	const rate, burst = 1000, 10_000
	key := []byte("a")
	old, heir := NewBucket(BucketConfig{Name: "one", Bytes: 1 << 20, RateMilli: rate}), newTestBucket(1<<20, rate)
	old.Charge(key, at(0))
	old.Publish()
	old.SetOrigin(7)
	heir.Hold([4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}) // as a node that is being taught
	for shard := range 256 {
		payload, _, _ := old.TeachShard(shard, 0, nil, 1<<20, at(0))
		if len(payload) == 0 {
			continue
		}
		if _, err := heir.Learn(payload, at(0)); err != nil {
			t.Fatal(err)
		}
	}
	old.Charge(key, at(0))
	old.Charge(key, at(0))
	old.Flush(at(0))
	deliver(t, 7, old, heir, 0, 0, at(0))
	if excess, _ := heir.Look(key, at(0), burst); excess != 3000 {
		t.Errorf("the excess is %d, want 3000", excess)
	}
	old.Charge(key, at(0))
	old.Unpublish()
	old.Charge(key, at(0))
	if excess, _ := old.Look(key, at(0), burst); excess != 5000 || old.Stats().Pending != 0 {
		t.Errorf("the excess is %d, want 5000; %+v", excess, old.Stats())
	}
	old.Publish() // another upgrade: nothing of before is sent again
	old.Charge(key, at(0))
	old.Flush(at(0))
	deliver(t, 7, old, heir, 1, 0, at(0))
	if excess, _ := heir.Look(key, at(0), burst); excess != 4000 {
		t.Errorf("the excess is %d, want 4000", excess)
	}
}
