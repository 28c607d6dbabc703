package ssl

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"
)

func TestKeptSessions(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		what    string
		tickets bool
		cache   *SessionCache
		version uint16
		want    string
	}{
		{"tickets", true, nil, tls.VersionTLS13, ".r"},
		{"tickets beside a cache", true, NewSessionCache(1 << 20), tls.VersionTLS13, ".r"},
		{"nothing", false, nil, tls.VersionTLS13, ".."},
		{"a cache", false, NewSessionCache(1 << 20), tls.VersionTLS13, ".r"},
		{"a cache, TLS 1.2", false, NewSessionCache(1 << 20), tls.VersionTLS12, ".r"},
		{"no room", false, NewSessionCache(1), tls.VersionTLS13, ".."},
	} {
		server := w.server(t, func(s *ServerSettings) { s.NoTickets, s.Sessions = !c.tickets, c.cache })
		client := w.clientOf(t, func(s *ClientSettings) {}).Config("server.example", true)
		client.ClientSessionCache, client.MaxVersion = tls.NewLRUClientSessionCache(1), c.version
		got := ""
		for range 2 {
			_, state, clientErr, serverErr := shake(t, client, server.Config)
			if clientErr != nil || serverErr != nil {
				t.Fatal(c.what, clientErr, serverErr)
			}
			got += server.Inspect(&state, nil, time.Now()).SessionReused()
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

// The oldest sessions go first when the cache is full, and all go when their time has come.
func TestSessionsExpire(t *testing.T) {
	c := NewSessionCache(3 * (100 + sessionOverheadBytes))
	state := []byte(strings.Repeat("s", 100))
	start := time.Now()
	end := start.Add(time.Minute)
	var ids [4]sessionID
	for i := range ids {
		ids[i] = c.put(state, end)
	}
	for i, want := range []bool{false, true, true, true} {
		if got := c.get(ids[i][:], start) != nil; got != want {
			t.Errorf("session %d: %v", i, got)
		}
	}
	if c.get(ids[3][:], end) != nil || c.byAge.Len() != 2 || c.usedBytes != 2*(100+sessionOverheadBytes) {
		t.Errorf("after their time: %d sessions, %d bytes", c.byAge.Len(), c.usedBytes)
	}
	if c.get([]byte("foreign"), start) != nil || c.get(make([]byte, 32), start) != nil {
		t.Error("a session that nobody made")
	}
}

func TestSharedCaches(t *testing.T) {
	var before, all SessionCaches
	open := func(caches, old *SessionCaches, name string, bytes int64) *SessionCache {
		c, err := caches.Open(CacheWords{Name: name, Bytes: bytes}, old)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	kept, changed := open(&before, nil, "kept", 1<<20), open(&before, nil, "changed", 1<<20)
	first, second := open(&all, &before, "", 1<<20), open(&all, &before, "", 1<<20)
	switch {
	case open(&all, &before, "kept", 1<<20) != kept, open(&all, &before, "kept", 1<<20) != kept:
		t.Error("the cache was not kept")
	case open(&all, &before, "changed", 2<<20) == changed:
		t.Error("a cache of another size was kept")
	case first == second:
		t.Error("two servers share a builtin cache")
	case open(&all, &before, "", 0) != nil:
		t.Error("there is a cache where none was asked for")
	}
	if _, err := all.Open(CacheWords{Name: "kept", Bytes: 2 << 20}, &before); err == nil ||
		err.Error() != `the size 2097152 of shared memory zone "kept" conflicts with already declared size 1048576` {
		t.Error(err)
	}
}
