package cache_test

import (
	"errors"
	"strings"
	"testing"

	"starling/lib/clock"
	"starling/web/cache"
)

// succeeds starts the cache of a process that replaces another one.
func succeeds(t *testing.T, s cache.Settings) *store {
	t.Helper()
	l, c := &log{}, clock.Real()
	heir := &store{cache.New(s, c, l), t, c, l}
	if err := heir.Start(true); err != nil {
		t.Fatal(err)
	}
	return heir
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
