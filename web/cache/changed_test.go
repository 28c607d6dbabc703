package cache_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/testkit"
	"starling/web/cache"
)

// large is the size of a body that is too large to be checked when its file is opened.
const large = 16<<20 + 1

// A file that another program changes after it was used is a miss, removed, and named in one line, however it is
// changed. One that is deleted is a miss without a line.
func TestFilesChangedWhileOpen(t *testing.T) {
	for _, test := range []struct {
		name    string
		change  func(t *testing.T, path, other string, whole []byte)
		removed string // what the line says
		large   bool   // it is seen with a large body too
	}{
		{"cut by a byte", func(t *testing.T, path, _ string, whole []byte) { write(t, path, whole[:len(whole)-1]) }, "is too short", true},
		{"cut in the head", func(t *testing.T, path, _ string, whole []byte) { write(t, path, whole[:100]) }, "is too short", false},
		{"emptied", func(t *testing.T, path, _ string, _ []byte) { write(t, path, nil) }, "is too short", false},
		{"longer", func(t *testing.T, path, _ string, whole []byte) { write(t, path, append(bytes.Clone(whole), 'x')) }, "is too short", false},
		{"garbage", func(t *testing.T, path, _ string, whole []byte) {
			write(t, path, bytes.Repeat([]byte{'g'}, len(whole)))
		}, "not a cache file", true},
		{"garbage in the body", func(t *testing.T, path, _ string, whole []byte) {
			write(t, path, append(bytes.Clone(whole[:len(whole)-1]), '!'))
		}, "has a wrong checksum", false},
		{"another version", func(t *testing.T, path, _ string, whole []byte) {
			write(t, path, append([]byte("starlc\x00\x02"), whole[8:]...))
		}, "not a cache file of this version", false},
		{"the file of another key, copied", func(t *testing.T, path, other string, _ []byte) { write(t, path, read(t, other)) }, "has the response of another", false},
		{"the file of another key, renamed", func(t *testing.T, path, other string, _ []byte) { rename(t, other, path) }, "has the response of another", false},
		{"a link", func(t *testing.T, path, other string, _ []byte) {
			remove(t, path)
			if err := os.Symlink(other, path); err != nil {
				t.Fatal(err)
			}
		}, "not a cache file", true},
		{"a folder", func(t *testing.T, path, _ string, _ []byte) {
			remove(t, path)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a cache file", false},
		{"deleted", func(t *testing.T, path, _ string, _ []byte) { remove(t, path) }, "", true},
		{"deleted with its folders", func(t *testing.T, path, _ string, _ []byte) {
			if err := os.RemoveAll(filepath.Dir(filepath.Dir(path))); err != nil {
				t.Fatal(err)
			}
		}, "", false},
	} {
		for _, n := range []int{1000, 300_000, large} {
			if n == large && !test.large {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				body := strings.Repeat("0123456789", n/10+1)[:n]
				s := start(t, settings(filepath.Join(t.TempDir(), "c")))
				s.wants("other", body, "MISS", body)
				other := s.files()[0]
				s.wants("k", body, "MISS", body)
				s.wants("k", "new", "HIT", body)
				path := s.fileBeside(other)
				test.change(t, path, other, read(t, path))
				testkit.Pass(time.Second)
				s.wants("k", "new", "MISS", "new")
				got := s.log.take()
				if test.removed == "" && got != "" || !strings.Contains(got, test.removed) ||
					test.removed != "" && (strings.Contains(got, "\n") || !strings.Contains(got, path) || !strings.Contains(got, "it is removed")) {
					t.Errorf("%s, %d bytes: %q", test.name, n, got)
				}
				s.wants("k", "other", "HIT", "new")
			})
		}
	}
}

// A file that another program changes while it is written, in its length or by another in its place, is not served.
func TestFilesChangedWhileWritten(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, path, other string)
		stored bool
		want   string // of the log
	}{
		{"cut", func(t *testing.T, path, _ string) { truncate(t, path, 70_000) }, false, "another program changed cache file"},
		{"emptied", func(t *testing.T, path, _ string) { truncate(t, path, 0) }, false, "another program changed cache file"},
		{"longer", func(t *testing.T, path, _ string) { truncate(t, path, 200_000) }, false, "another program changed cache file"},
		{"deleted", func(t *testing.T, path, _ string) { remove(t, path) }, false, "rename()"},
		{"the file of another key, copied", func(t *testing.T, path, other string) {
			whole := read(t, other)
			remove(t, path)
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}, true, "has the response of another"},
	} {
		synctest.Test(t, func(t *testing.T) {
			body := strings.Repeat("0123456789", 30_000)
			s := start(t, settings(filepath.Join(t.TempDir(), "c")))
			s.wants("other", body, "MISS", body)
			other := s.files()[0]
			var ticket cache.Ticket
			defer ticket.End()
			ticket.Key = append(ticket.Key, 'k')
			ticket.Begin(s.Cache, 1, s.clock.Now())
			ticket.Open(nil, s.clock.Now())
			f := ticket.Fill(cache.Meta{
				Freshness: cache.Freshness{Valid: s.clock.Now().WallMS/1000 + 3600}, Status: 200, ContentLength: int64(len(body)), LastModified: -1,
			}, nil)
			f.Write([]byte(body[:100_000]))
			test.change(t, s.fileBeside(other), other)
			f.Write([]byte(body[100_000:]))
			if got := f.Commit(s.clock.Now()); got != test.stored {
				t.Errorf("%s: stored %v", test.name, got)
			}
			ticket.End()
			s.wants("k", "new", "MISS", "new")
			if got := s.log.take(); !strings.Contains(got, test.want) || strings.Contains(got, "\n") {
				t.Errorf("%s: %q", test.name, got)
			}
			s.wants("k", "newer", "HIT", "new")
		})
	}
}

func truncate(t *testing.T, path string, n int64) {
	t.Helper()
	if err := os.Truncate(path, n); err != nil {
		t.Fatal(err)
	}
}

// A body too large to be checked is not used after another program has changed it, but it is after a restart, after the
// freshness was rewritten, and when only its time of access or its mode changes.
func TestLargeFilesChangedWhileOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := strings.Repeat("0123456789", large/10+1)[:large]
		s := start(t, settings(filepath.Join(t.TempDir(), "c")))
		s.wants("k", body, "MISS", body)
		path := s.files()[0]
		for range 2 {
			s.refresh("k")
			s.wants("k", "new", "HIT", body)
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		s.wants("k", "new", "HIT", body)
		if got := s.log.take(); got != "" {
			t.Error(got)
		}
		again := start(t, settings(s.Path))
		again.wants("k", "new", "HIT", body)
		whole := read(t, path)
		write(t, path, append(whole[:len(whole)-1], '!'))
		again.wants("k", "new", "MISS", "new")
		if got := again.log.take(); !strings.Contains(got, "was changed by another program; it is removed") {
			t.Errorf("%q", got)
		}
	})
}

// The freshness of a response is rewritten in its file; that is no change by another program, for whatever body.
func TestRefreshedFilesStay(t *testing.T) {
	for _, n := range []int{0, 1000, 300_000, large} {
		synctest.Test(t, func(t *testing.T) {
			body := strings.Repeat("0123456789", n/10+1)[:n]
			s := start(t, settings(filepath.Join(t.TempDir(), "c")))
			s.wants("k", body, "MISS", body)
			for range 3 {
				s.refresh("k")
				testkit.Pass(2 * time.Second)
				s.wants("k", "new", "HIT", body)
			}
			if got := s.log.take(); got != "" {
				t.Errorf("%d bytes: %s", n, got)
			}
		})
	}
}

// refresh revalidates the response of a key.
func (s *store) refresh(key string) {
	s.t.Helper()
	var t cache.Ticket
	defer t.End()
	t.Key = append(t.Key, key...)
	now := s.clock.Now()
	t.Begin(s.Cache, 1, now)
	if outcome := t.Open(nil, now); outcome != cache.Fresh {
		s.t.Fatalf("outcome %d", outcome)
	}
	t.Refresh(cache.Freshness{Valid: now.WallMS/1000 + 7200}, now)
}

// fileBeside is the one file that is not the other one.
func (s *store) fileBeside(other string) string {
	s.t.Helper()
	for _, path := range s.files() {
		if path != other {
			return path
		}
	}
	s.t.Fatal("there is no other file")
	return ""
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// write changes a file in place. Its time changes for sure, however coarse the clock of the file system is.
func write(t *testing.T, path string, data []byte) {
	t.Helper()
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, before.ModTime().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
