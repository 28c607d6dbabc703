package kinds

import "testing"

// A zone that becomes shared has the records of the one before, and its peers get them.
func TestCarriedRecordsReachPeers(t *testing.T) {
	keyvals, shared, peer := NewKeyval(KeyvalConfig{Name: "kv", Bytes: 1 << 20}), newTestKeyval(0), newTestKeyval(0)
	keyvals.Set([]byte("a"), []byte("1"), NoExpire, at(0))
	if err := shared.CarryFrom(keyvals, false, at(1)); err != nil {
		t.Fatal(err)
	}
	shared.Flush(at(1))
	deliver(t, 1, shared, peer, 0, 0, at(1))
	mustHave(t, peer, "a", "1", 1)

	sessions, sharedSessions, peerSessions := NewSession(
		SessionConfig{Name: "s", Bytes: 1 << 20, TimeoutMS: 60_000},
	), newTestSession(
		60_000,
	), newTestSession(
		60_000,
	)
	sessions.Bind([]byte("a"), []byte("server"), at(0))
	if err := sharedSessions.CarryFrom(sessions, false, at(1)); err != nil {
		t.Fatal(err)
	}
	sharedSessions.Flush(at(1))
	deliver(t, 1, sharedSessions, peerSessions, 0, 0, at(1))
	if server, _ := peerSessions.Lookup([]byte("a"), at(1)); server != "server" {
		t.Errorf("the session leads to %q", server)
	}
}

// What the last requests of the old configuration wrote comes later, and is not newer than what was written here
// meanwhile.
func TestCarriedAgain(t *testing.T) {
	for _, sync := range []bool{true, false} {
		old := NewKeyval(KeyvalConfig{Name: "kv", Bytes: 1 << 20})
		now := NewKeyval(KeyvalConfig{Name: "kv", Bytes: 1 << 20, Sync: sync})
		old.Set([]byte("deleted"), []byte("1"), NoExpire, at(0))
		old.Set([]byte("changed"), []byte("1"), NoExpire, at(0))
		now.CarryFrom(old, false, at(1))
		now.Delete([]byte("deleted"), at(2))
		now.Set([]byte("changed"), []byte("2"), NoExpire, at(2))
		old.Set([]byte("late"), []byte("1"), NoExpire, at(3))
		if err := now.CarryFrom(old, true, at(4)); err != nil {
			t.Fatal(err)
		}
		mustLack(t, now, "deleted", 5)
		mustHave(t, now, "changed", "2", 5)
		if sync {
			mustHave(t, now, "late", "1", 5)
		}
	}
}

func TestCarriedLimits(t *testing.T) {
	const rate = 1000
	key := []byte("a")
	old := NewBucket(BucketConfig{Name: "one", Bytes: 1 << 20, RateMilli: rate})
	shared, peer := newTestBucket(1<<20, rate), newTestBucket(1<<20, rate)
	for range 5 {
		old.Account(key, at(0), 4000)
	}
	old.Account([]byte("drained"), at(-2000), 4000)
	shared.Account(key, at(0), 4000)
	shared.CarryFrom(old, at(500))
	shared.Flush(at(500))
	deliver(t, 1, shared, peer, 0, 0, at(500))
	for name, b := range map[string]*Bucket{"here": shared, "on a peer": peer} {
		if excess, verdict := b.Look(key, at(500), 4000); verdict != Rejected || excess > 5000 {
			t.Errorf("%s: excess %d, verdict %d", name, excess, verdict)
		}
		if _, verdict := b.Look(key, at(2000), 4000); verdict != Passed {
			t.Errorf("%s: nothing drained", name)
		}
		if b.Stats().Records != 1 {
			t.Errorf("%s: %d records", name, b.Stats().Records)
		}
	}
}
