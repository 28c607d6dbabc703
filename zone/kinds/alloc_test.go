package kinds

import "testing"

func TestHotPathsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates by itself")
	}
	bucket := newTestBucket(1<<20, 1000)
	session := newTestSession(600_000)
	plain := newTestKeyval(0)
	ip := NewKeyval(KeyvalConfig{Name: "ip", Bytes: 1 << 20, Type: TypeIP, Sync: true})
	prefix := NewKeyval(KeyvalConfig{Name: "prefix", Bytes: 1 << 20, Type: TypePrefix, Sync: true})
	key := []byte("192.0.2.77")
	session.Bind(key, []byte("server"), at(0))
	plain.Set(key, []byte("value"), NoExpire, at(0))
	ip.Set([]byte("192.0.2.0/24"), []byte("value"), NoExpire, at(0))
	prefix.Set([]byte("192."), []byte("value"), NoExpire, at(0))
	bucket.Account(key, at(0), 0)
	conn := NewConn(ConnConfig{Name: "conn", Bytes: 1 << 20})
	peer := newConnNode(7, 1<<20)
	peer.enter(string(key), 9)
	peer.sendTo(t, 0, &connNode{Conn: conn})
	stays, _ := conn.Enter(key, 9)
	defer conn.Leave(stays)
	var buf [64]byte
	ms := int64(0)
	for _, test := range []struct {
		name string
		do   func()
	}{
		{"account", func() { bucket.Account(key, at(1), 1<<40) }},
		{"look", func() { bucket.Look(key, at(1), 1<<40) }},
		{"rejected", func() { bucket.Account(key, at(1), 0) }},
		{"connection", func() {
			ticket, verdict := conn.Enter(key, 9)
			if verdict != Passed {
				t.Fatal(verdict)
			}
			conn.Leave(ticket)
		}},
		{"connection too many", func() { conn.Enter(key, 2) }},
		{"look up a session", func() { session.AppendServer(buf[:0], key, at(1)) }},
		{"touch a session", func() { ms += 100_000; session.Touch(key, at(ms)) }},
		{"rebind a session", func() { session.Bind(key, []byte("server"), at(ms)) }},
		{"string value", func() { plain.AppendValue(buf[:0], key, at(1)) }},
		{"ip value", func() { ip.AppendValue(buf[:0], key, at(1)) }},
		{"prefix value", func() { prefix.AppendValue(buf[:0], key, at(1)) }},
	} {
		if n := testing.AllocsPerRun(200, test.do); n != 0 {
			t.Errorf("%s: %v allocations", test.name, n)
		}
	}
}
