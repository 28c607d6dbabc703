package cache_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A damaged file is a miss, removed, and named in one line, however it is damaged.
func TestDamagedFiles(t *testing.T) {
	for _, n := range sizes {
		body := strings.Repeat("0123456789", n/10+1)[:n]
		made := start(t, settings(filepath.Join(t.TempDir(), "c")))
		made.wants("k", body, "MISS", body)
		path := made.files()[0]
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damaged := map[string][]byte{
			"cut by a byte": whole[:len(whole)-1], "empty": nil, "foreign": []byte("\x05\x00" + strings.Repeat("nginx", 100)), "longer": append(bytes.Clone(whole), 'x'),
			"zeros": make([]byte, len(whole)), "cut in the head": whole[:100], "another version": append([]byte("starlc\x00\x02"), whole[8:]...),
		}
		for at := 0; at < len(whole); at += max(1, len(whole)/100) {
			if at >= 52 && at < 64 { // reserved
				continue
			}
			flipped := bytes.Clone(whole)
			flipped[at] ^= 0x10
			damaged[fmt.Sprint("a bit at ", at)] = flipped
		}
		for name, data := range damaged {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			s := start(t, settings(made.Path))
			s.wants("k", "new", "MISS", "new")
			if got := s.log.take(); strings.Count(got, "\n") != 0 || !strings.Contains(got, path) || !strings.Contains(got, "it is removed") {
				t.Errorf("%d bytes, %s: %q", n, name, got)
			}
			s.wants("k", "other", "HIT", "new")
		}
	}
}

// A link is not followed, whatever it leads to.
func TestLinks(t *testing.T) {
	s := start(t, settings(filepath.Join(t.TempDir(), "c")))
	s.wants("k", "x", "MISS", "x")
	path := s.files()[0]
	if err := os.Rename(path, s.Path+"/real"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(s.Path+"/real", path); err != nil {
		t.Fatal(err)
	}
	again := start(t, settings(s.Path))
	again.wants("k", "new", "MISS", "new")
}

// The loader finds what is there, removes what a killed process has not completed and what is too short, and leaves the
// files of others alone.
func TestLoader(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	made := start(t, settings(dir))
	for i := range 300 {
		made.wants(fmt.Sprint(i), "x", "MISS", "x")
	}
	path := made.files()[0]
	for name, text := range map[string]string{path + ".0123456789": "half", filepath.Dir(path) + "/notes.txt": "mine", dir + "/lost": "mine"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(path+".0123456789", time.Time{}, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	made.hand(t)
	s := start(t, settings(dir))
	s.load(t)
	if got, want := s.Report().Keys, 300; got != want {
		t.Errorf("%d keys, want %d", got, want)
	}
	if got, want := s.Report().Bytes, int64(300*4096); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
	if _, err := os.Stat(path + ".0123456789"); !os.IsNotExist(err) {
		t.Errorf("the temporary file of a killed process: %v", err)
	}
	for _, name := range []string{filepath.Dir(path) + "/notes.txt", dir + "/lost"} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if got := s.log.take(); !strings.Contains(got, "2 files in cache folder") {
		t.Errorf("the log: %s", got)
	}
}

// hand closes the purges of a cache for the next one.
func (s *store) hand(t *testing.T) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// load runs the loader to its end.
func (s *store) load(t *testing.T) {
	t.Helper()
	s.Run(t.Context())
	for deadline := time.Now().Add(time.Minute); s.Report().Cold; {
		if time.Now().After(deadline) {
			t.Fatal("the loader does not end")
		}
		<-time.After(time.Millisecond)
	}
}

// A request finds a file that the loader has not seen yet.
func TestColdHit(t *testing.T) {
	made := start(t, settings(filepath.Join(t.TempDir(), "c")))
	made.wants("k", "x", "MISS", "x")
	s := start(t, settings(made.Path))
	if s.Report().Keys != 0 {
		t.Error("it was loaded already")
	}
	s.wants("k", "new", "HIT", "x")
}

// A purge that was acknowledged holds after a crash, for the files that nobody has asked for since.
func TestPurgeSurvives(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	s := start(t, settings(dir))
	for _, v := range []string{"a", "b"} {
		s.wants("k", v, "MISS", v, "X", v)
		s.wants("p"+v, v, "MISS", v)
		s.wants("q"+v, v, "MISS", v)
	}
	if _, err := s.Purge([]byte("k"), s.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.PurgeAll([]byte("p"), s.clock.Now()); err != nil {
		t.Fatal(err)
	}
	// Whoever comes first reads; whoever opens it for writing later has the same purges.
	reader := start(t, settings(dir))
	reader.wants("pa", "new", "MISS", "new")
	s.hand(t)
	again := start(t, settings(dir))
	again.wants("k", "new", "MISS", "new", "X", "b")
	again.wants("k", "new", "MISS", "new", "X", "a")
	again.wants("pb", "new", "MISS", "new")
	again.wants("qa", "new", "HIT", "a")
	again.load(t)
	if got := again.log.take(); strings.Contains(got, "of others") {
		t.Error(got)
	}
}

// Before the loader has seen a file, a purge finds it all the same, also while the loader runs.
func TestPurgeBeforeLoading(t *testing.T) {
	made := start(t, settings(filepath.Join(t.TempDir(), "c")))
	made.wants("k", "x", "MISS", "x")
	made.hand(t)
	s := start(t, settings(made.Path))
	for _, want := range []bool{true, false} {
		if found, err := s.Purge([]byte("k"), s.clock.Now()); found != want || err != nil {
			t.Errorf("found %v, %v; want %v", found, err, want)
		}
	}
	if left := made.files(); len(left) != 0 {
		t.Errorf("%q stay", left)
	}
	s.Run(t.Context())
	for s.Report().Cold {
		if found, err := s.Purge([]byte("none"), s.clock.Now()); found || err != nil {
			t.Fatalf("found %v, %v", found, err)
		}
	}
}
