package kinds

import (
	"errors"
	"testing"

	"starling/zone"
)

func newTestKeyval(timeoutMS int64) *Keyval {
	return NewKeyval(KeyvalConfig{Name: "kv", Expression: "$arg_text", Bytes: 1 << 20, TimeoutMS: timeoutMS, Sync: true})
}

func newTestSession(timeoutMS int64) *Session {
	return NewSession(SessionConfig{Name: "s", Expression: "$cookie_s", Bytes: 1 << 20, TimeoutMS: timeoutMS, Sync: true})
}

func mustHave(t *testing.T, k *Keyval, key, want string, ms int64) {
	t.Helper()
	got, ok := k.AppendValue(nil, []byte(key), at(ms))
	if !ok || string(got) != want {
		t.Errorf("%q is %q %v at %d ms, want %q", key, got, ok, ms, want)
	}
}

func mustLack(t *testing.T, k *Keyval, key string, ms int64) {
	t.Helper()
	if got, ok := k.AppendValue(nil, []byte(key), at(ms)); ok {
		t.Errorf("%q is %q at %d ms, want nothing", key, got, ms)
	}
}

func TestKeyvalAsTheAPIUsesIt(t *testing.T) {
	k := newTestKeyval(0)
	key := []byte("a")
	steps := []struct {
		name string
		do   func() error
		want error
	}{
		{"update what is missing", func() error { return k.Update(key, []byte("0"), NoExpire, at(0)) }, ErrNotFound},
		{"add", func() error { return k.Add(key, []byte("1"), NoExpire, at(0)) }, nil},
		{"add again", func() error { return k.Add(key, []byte("2"), NoExpire, at(0)) }, ErrExists},
		{"update", func() error { return k.Update(key, []byte("22"), NoExpire, at(0)) }, nil},
		{"delete", func() error { return k.Delete(key, at(0)) }, nil},
		{"delete again", func() error { return k.Delete(key, at(0)) }, ErrNotFound},
		{"add after delete", func() error { return k.Add(key, []byte("3"), 500, at(0)) }, nil},
		{"empty key", func() error { return k.Set(nil, []byte("3"), NoExpire, at(0)) }, ErrKey},
		{"long key", func() error { return k.Set(make([]byte, 70000), nil, NoExpire, at(0)) }, ErrTooLong},
	}
	for _, step := range steps {
		if err := step.do(); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.name, err, step.want)
		}
	}
	mustHave(t, k, "a", "3", 499)
	mustLack(t, k, "a", 500)
}

func TestKeyvalWritesAndDeletesReachAPeer(t *testing.T) {
	one, two := newTestKeyval(0), newTestKeyval(0)
	one.Set([]byte("a"), []byte("1"), NoExpire, at(0))
	one.Set([]byte("b"), []byte("2"), 1000, at(0))
	if moved := one.Flush(at(1)); moved != 2 {
		t.Fatalf("flushed %d records", moved)
	}
	sent := deliver(t, 1, one, two, 0, 0, at(1))
	mustHave(t, two, "a", "1", 1)
	mustHave(t, two, "b", "2", 999)
	mustLack(t, two, "b", 1000)
	one.Delete([]byte("a"), at(2))
	one.Flush(at(2))
	sent = deliver(t, 1, one, two, sent, 0, at(2))
	mustLack(t, two, "a", 2)
	two.Set([]byte("c"), []byte("3"), NoExpire, at(3))
	one.Clear(at(4))
	one.Set([]byte("d"), []byte("4"), NoExpire, at(4))
	one.Flush(at(4))
	deliver(t, 1, one, two, sent, 0, at(4))
	mustLack(t, two, "c", 4)
	mustHave(t, two, "d", "4", 4)
	var left, right [zone.Shards]uint64
	if !one.Digests(&left) || !two.Digests(&right) || left != right {
		t.Error("digests differ")
	}
}

func TestSessionFollowsTheNewestBinding(t *testing.T) {
	one, two := newTestSession(8000), newTestSession(8000)
	id := []byte("0123456789abcdef")
	one.Bind(id, []byte("10.0.0.1:80"), at(0))
	one.Flush(at(0))
	sent := deliver(t, 1, one, two, 0, 0, at(0))
	if server, ok := two.Lookup(id, at(1)); !ok || server != "10.0.0.1:80" {
		t.Fatalf("peer has %q %v", server, ok)
	}
	if two.Touch(id, at(900)); two.Flush(at(900)) != 0 {
		t.Error("a touch by less than an eighth of the timeout travelled")
	}
	if two.Touch(id, at(1000)); two.Flush(at(1000)) != 1 {
		t.Error("a touch by an eighth of the timeout did not travel")
	}
	one.Bind(id, []byte("10.0.0.2:80"), at(950))
	deliver(t, 2, two, one, 0, 0, at(1001))
	if server, _ := one.Lookup(id, at(1001)); server != "10.0.0.2:80" {
		t.Errorf("a touch beat a rebinding: %q", server)
	}
	one.Flush(at(1002))
	deliver(t, 1, one, two, sent, 0, at(1002))
	if server, _ := two.Lookup(id, at(1002)); server != "10.0.0.2:80" {
		t.Errorf("the peer follows %q", server)
	}
	if err := two.Rebind([]byte("unknown"), []byte("x"), at(1002)); !errors.Is(err, ErrNotFound) {
		t.Errorf("rebinding what is not there: %v", err)
	}
	if _, ok := two.Lookup(id, at(950+8000+999)); !ok {
		t.Error("ended before timeout and grace")
	}
	if _, ok := two.Lookup(id, at(950+8000+1000)); ok {
		t.Error("lives longer than timeout and grace")
	}
}

// The order of states decides alike on all nodes, whichever comes first.
func TestEqualStampsAreDecidedAlike(t *testing.T) {
	states := []write{ // each beats the ones before it
		{stamp: 5, value: []byte("a"), endMS: 10},
		{stamp: 5, value: []byte("a"), endMS: 20},
		{stamp: 5, value: []byte("a")}, // never expires
		{stamp: 5, value: []byte("b"), endMS: 10},
		{stamp: 5, tombstone: true},
		{stamp: 6, value: []byte("a"), endMS: 10},
	}
	key := []byte("k")
	hash := zone.KeyHash(key)
	for i := range states {
		for j := range states {
			k := newTestKeyval(0)
			sh := k.store.Shard(hash)
			k.put(sh, hash, key, &states[i], room{bytes: 1 << 20}, at(0))
			if did, _ := k.put(sh, hash, key, &states[j], room{bytes: 1 << 20}, at(0)); (did == won) != (j > i) {
				t.Errorf("state %d after state %d: outcome %d", j, i, did)
			}
		}
	}
}
