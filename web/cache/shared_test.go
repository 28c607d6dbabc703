package cache_test

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/testkit"
	"starling/web/cache"
	"starling/zone/kinds"
)

// node is one of several caches that share their purges.
type node struct {
	*store
	zone *kinds.Keyval
	stop context.CancelFunc
}

// share starts a cache as a node does; run also starts what it does in the background.
func share(t *testing.T, dir string, run bool) *node {
	t.Helper()
	n := &node{store: start(t, settings(dir))}
	n.zone = kinds.NewKeyval(kinds.KeyvalConfig{Name: "one", Bytes: cache.SharedBytes, Sync: true})
	n.Share(n.zone)
	if err := n.Announce(n.clock.Now()); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, n.stop = context.WithCancel(t.Context())
	if run {
		n.Run(ctx)
	}
	return n
}

// ends is the end of its process.
func (n *node) ends() {
	n.t.Helper()
	n.stop()
	n.hand(n.t.(*testing.T))
}

// meet lets nodes exchange what they have, as after a disconnect.
func meet(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, to := range nodes {
		for _, from := range nodes {
			if to != from {
				if err := to.zone.Merge(from.zone, to.clock.Now()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func folders(t *testing.T) (a, b, c string) {
	dir := t.TempDir()
	return filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
}

func (n *node) purge(key string) {
	n.t.Helper()
	n.purges(key, nil)
}

// A purge holds on a node as soon as it has arrived, and what is stored afterwards stays.
func TestSharedPurges(t *testing.T) {
	long := strings.Repeat("l", 500)
	for _, test := range []struct {
		purge string
		keys  map[string]string
	}{
		{"a/1", map[string]string{"a/1": "MISS", "a/2": "HIT", "b": "HIT"}},
		{"a/*", map[string]string{"a/1": "MISS", "a/2": "MISS", "b": "HIT"}},
		{"*", map[string]string{"a/1": "MISS", "a/2": "MISS", "b": "MISS"}},
		{long + "1*", map[string]string{long + "1": "MISS", long + "2": "MISS", "b": "HIT"}}, // a long prefix purges more
		{"none", map[string]string{"b": "HIT"}},
	} {
		dirA, dirB, _ := folders(t)
		a, b := share(t, dirA, false), share(t, dirB, false)
		for key := range test.keys {
			b.wants(key, "old", "MISS", "old")
		}
		a.purge(test.purge)
		meet(t, a, b)
		for key, status := range test.keys {
			b.wants(key, "new", status, map[string]string{"MISS": "new", "HIT": "old"}[status])
		}
		meet(t, a, b)
		for key, status := range test.keys {
			b.wants(key, "newer", "HIT", map[string]string{"MISS": "new", "HIT": "old"}[status])
		}
	}
}

// A node that was down learns what was purged meanwhile, also from a node that had it from a third; and nothing is
// purged twice, however often nodes restart and meet.
func TestSharedPurgesAfterRestarts(t *testing.T) {
	dirA, dirB, dirC := folders(t)
	a, b, c := share(t, dirA, false), share(t, dirB, false), share(t, dirC, false)
	for _, n := range []*node{b, c} {
		n.wants("k", "old", "MISS", "old")
		n.wants("p1", "old", "MISS", "old")
		n.wants("other", "old", "MISS", "old")
	}
	c.ends()
	a.purge("k")
	a.purge("p*")
	a.purge("k")
	meet(t, a, b)
	a.ends()
	b.ends()
	b, c = share(t, dirB, false), share(t, dirC, false)
	meet(t, b, c)
	for _, n := range []*node{b, c} {
		n.wants("k", "new", "MISS", "new")
		n.wants("p1", "new", "MISS", "new")
		n.wants("other", "new", "HIT", "old")
	}
	a = share(t, dirA, false)
	for range 2 {
		meet(t, a, b, c)
		b.ends()
		b = share(t, dirB, false)
		meet(t, a, b, c)
		for _, n := range []*node{b, c} {
			n.wants("k", "newer", "HIT", "new")
			n.wants("p1", "newer", "HIT", "new")
		}
	}
}

// The clock of a node that learns a purge can be ahead of the other's, or behind it.
func TestSharedPurgesWithOtherClocks(t *testing.T) {
	for _, ahead := range []time.Duration{-50 * time.Second, time.Hour} {
		dirA, dirB, _ := folders(t)
		a, b := share(t, dirA, false), share(t, dirB, false)
		now := b.clock.Now()
		b.clock.Follow(now.WallMS - now.MonoMS + ahead.Milliseconds())
		b.wants("k", "old", "MISS", "old")
		a.purge("k")
		meet(t, a, b)
		b.wants("k", "new", "MISS", "new")
		b.wants("k", "newer", "HIT", "new")
	}
}

// A node whose clock is behind after its restart, because it does not follow the cluster's yet, purges what it has
// stored in the time of the cluster.
func TestSharedPurgesBeforeTheClockIsRight(t *testing.T) {
	dirA, dirB, _ := folders(t)
	a, b := share(t, dirA, false), share(t, dirB, false)
	for n, aheadMS := range map[*node]int64{a: 30_000, b: 31_000} { // two clocks of a cluster differ a little
		now := n.clock.Now()
		n.clock.Follow(now.WallMS - now.MonoMS + aheadMS)
	}
	b.wants("k", "old", "MISS", "old")
	b.ends()
	a.purge("k")
	b = share(t, dirB, false)
	meet(t, a, b)
	b.wants("k", "new", "MISS", "new")
	b.wants("k", "newer", "HIT", "new")
}

// apart lets time pass in which some nodes meet every minute and the others do not.
func apart(t *testing.T, d time.Duration, together ...*node) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		testkit.Pass(time.Minute)
		meet(t, together...)
	}
}

// A node that has missed more of another's time than purges are kept for purges everything; one that has not does not,
// nor does one whose peer was down.
func TestMissedPurges(t *testing.T) {
	const kept, lost = 45 * time.Minute, 52 * time.Minute
	for _, test := range []struct {
		name   string
		during func(t *testing.T, a, b, c *node, dirB string) (bAfter *node)
		want   string
	}{
		{"together", func(t *testing.T, a, b, c *node, _ string) *node { apart(t, 3*time.Hour, a, b, c); return b }, "EXPIRED"},
		{"cut off for a while", func(t *testing.T, a, b, c *node, _ string) *node { apart(t, kept, a, c); return b }, "EXPIRED"},
		{"cut off for long", func(t *testing.T, a, b, c *node, _ string) *node { apart(t, lost, a, c); return b }, "MISS"},
		{"cut off from one of them", func(t *testing.T, a, b, c *node, _ string) *node { apart(t, lost, b, c); return b }, "MISS"},
		{"cut off again and again", func(t *testing.T, a, b, c *node, _ string) *node {
			for range 3 {
				apart(t, kept, a, c)
				apart(t, 2*time.Minute, a, b, c)
			}
			return b
		}, "EXPIRED"},
		{"met once in between", func(t *testing.T, a, b, c *node, _ string) *node {
			apart(t, lost/2, a, c)
			meet(t, a, b) // it may break before the purges have arrived
			apart(t, lost/2, a, c)
			return b
		}, "MISS"},
		{"down for a while", func(t *testing.T, a, b, c *node, dirB string) *node {
			b.ends()
			apart(t, kept, a, c)
			return share(t, dirB, true)
		}, "EXPIRED"},
		{"down for long", func(t *testing.T, a, b, c *node, dirB string) *node {
			b.ends()
			apart(t, lost, a, c)
			return share(t, dirB, true)
		}, "MISS"},
		{"all were down", func(t *testing.T, a, b, c *node, dirB string) *node {
			dirA, dirC := a.Path, c.Path
			for _, n := range []*node{a, b, c} {
				n.ends()
			}
			testkit.Pass(12 * time.Hour)
			*a, *c = *share(t, dirA, true), *share(t, dirC, true)
			return share(t, dirB, true)
		}, "EXPIRED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dirA, dirB, dirC := folders(t)
				a, b, c := share(t, dirA, true), share(t, dirB, true), share(t, dirC, true)
				apart(t, 2*time.Minute, a, b, c)
				b.wants("k", "old", "MISS", "old")
				for range 20 { // somebody asks for it, so it does not become inactive
					apart(t, time.Minute, a, b, c)
					b.wants("k", "old", "HIT", "old")
				}
				b.Configure(longLived(b.Path), b.log)
				b.wants("k", "old", "HIT", "old")
				b = test.during(t, a, b, c, dirB)
				meet(t, a, b, c)
				b.wants("k", "new", test.want, "new")
				meet(t, a, b, c)
				if told := strings.Contains(b.log.take(), `cache "one" purges everything`); told != (test.want == "MISS") {
					t.Errorf("told: %v", told)
				}
			})
		})
	}
}

// longLived are settings with which nothing becomes inactive.
func longLived(dir string) cache.Settings {
	s := settings(dir)
	s.Inactive = 1000 * time.Hour
	return s
}

// What is not a purge is ignored, also from a peer.
func TestSharedNonsense(t *testing.T) {
	dirA, dirB, _ := folders(t)
	a, b := share(t, dirA, false), share(t, dirB, false)
	b.wants("k", "old", "MISS", "old")
	for _, key := range []string{"x", "k", "p", "n", "k12345678", "k12345678too short", "p1234567", "n1234567", "n12345678", "z1234567890123456789012345",
		"p12345678" + strings.Repeat("l", 257), "k12345678" + strings.Repeat("l", 17)} {
		if err := a.zone.Set([]byte(key), []byte("value"), kinds.NoExpire, a.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	meet(t, a, b)
	b.wants("k", "new", "HIT", "old")
}

// A node that cannot remember all purges purges everything, and refuses those of its own clients: also if it
// is one key, or one wildcard, again and again.
func TestTooManySharedPurges(t *testing.T) {
	for _, kind := range []string{"k", "p"} {
		dirA, dirB, _ := folders(t)
		a, b := share(t, dirA, false), share(t, dirB, false)
		b.wants("k", "old", "MISS", "old")
		now := a.clock.Now()
		for i := range 100_000 {
			key := append(binary.BigEndian.AppendUint64([]byte(kind), uint64(now.WallMS-int64(i))), "0123456789abcdef"...)
			if err := a.zone.Set(key, nil, time.Hour.Milliseconds(), now); err != nil {
				t.Fatal(err)
			}
		}
		meet(t, a, b)
		b.wants("k", "new", "HIT", "old")
		if err := b.PurgeAll(nil, b.clock.Now()); !errors.Is(err, cache.ErrTooManyPurges) {
			t.Error(err)
		}
		b.wants("k", "new", "HIT", "old")
		a.purge("another")
		meet(t, a, b)
		b.wants("k", "new", "MISS", "new")
	}
}
