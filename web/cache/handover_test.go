package cache_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/testkit"
	"starling/web/cache"
)

// succeeds starts the cache of a process that replaces another one.
func succeeds(t *testing.T, s cache.Settings) *store {
	t.Helper()
	return startAs(t, s, true)
}

func (s *store) purges(key string, want error) {
	s.t.Helper()
	var err error
	if prefix, wildcard := strings.CutSuffix(key, "*"); wildcard {
		err = s.PurgeAll([]byte(prefix), s.clock.Now())
	} else {
		_, err = s.Purge([]byte(key), s.clock.Now())
	}
	if !errors.Is(err, want) {
		s.t.Errorf("a purge of %s: %v, want %v", key, err, want)
	}
}

func (s *store) is(key, want string) {
	s.t.Helper()
	if got, _ := s.get(key, "new"); got != want {
		s.t.Errorf("%s is a %s, want %s", key, got, want)
	}
}

// A purge that has begun when the other process takes over is rejected too: that one has read the file.
func TestAPurgeDuringAHandover(t *testing.T) {
	s := start(t, settings(t.TempDir()))
	if err := errors.Join(s.KeepPurge("before"), s.Yield()); err != nil {
		t.Fatal(err)
	}
	if err := s.KeepPurge("k"); !errors.Is(err, cache.ErrReplacing) {
		t.Errorf("%v, want %v", err, cache.ErrReplacing)
	}
	if err := errors.Join(s.Seize(), s.KeepPurge("k")); err != nil {
		t.Error(err)
	}
}

// While the binary is replaced, purges pass from one process to the other and back with their file, also those of a
// process that is killed, and the process that does not serve accepts none: the other would not hear of it.
func TestPurgesPassToAnotherProcess(t *testing.T) {
	s := settings(t.TempDir())
	old := start(t, s)
	for _, key := range []string{"a", "b", "wild1", "stays"} {
		old.get(key, "before")
	}
	heir := succeeds(t, s)
	for _, key := range []string{"a", "b", "wild1", "stays"} {
		heir.is(key, "HIT") // and it keeps them open
	}
	heir.purges("a", cache.ErrReplacing)
	heir.is("a", "HIT")
	old.purges("a", nil) // the new process has read the file before
	if err := errors.Join(old.Yield(), heir.Seize()); err != nil {
		t.Fatal(err)
	}
	heir.is("a", "MISS")
	heir.is("b", "HIT")
	old.purges("b", cache.ErrReplacing)
	old.is("b", "HIT")

	heir.purges("b", nil)
	heir.purges("wild*", nil)
	if err := errors.Join(heir.Yield(), old.Seize()); err != nil { // it is killed
		t.Fatal(err)
	}
	old.is("b", "MISS")
	old.is("wild1", "MISS")
	old.is("stays", "HIT")
	old.purges("stays", nil)
	old.hand(t)
	again := start(t, s)
	again.is("stays", "MISS")
}

// A manager that has not ended yet leaves a closed cache alone, and a configuration that uses it again opens it.
func TestAClosedCacheStaysClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := settings(filepath.Join(t.TempDir(), "cache"))
		one := start(t, s)
		one.Run(t.Context())
		testkit.Pass(time.Minute)
		if err := errors.Join(one.Close(), os.RemoveAll(s.Path)); err != nil {
			t.Fatal(err)
		}
		testkit.Pass(time.Minute)
		if _, err := os.Lstat(s.Path); !os.IsNotExist(err) {
			t.Errorf("the folder is there again: %v", err)
		}
		if err := errors.Join(one.Start(false), one.KeepPurge("k")); err != nil {
			t.Error(err)
		}
		one.hand(t)
	})
}
