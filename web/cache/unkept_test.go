package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/testkit"
	"starling/web/cache"
)

// obstructs makes it impossible to rewrite the purges in a folder, also for root. clear ends that.
func obstructs(t *testing.T, dir string) (clear func()) {
	t.Helper()
	path := filepath.Join(dir, "purges.new")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// A cache that cannot write its purges starts, honours those that it can read, rejects new ones, and accepts them once
// it can write.
func TestStartsWithoutWritingPurges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := start(t, settings(filepath.Join(t.TempDir(), "c")))
		made.get("purged", "old")
		made.get("kept", "old")
		made.get("wild1", "old")
		if err := made.PurgeAll([]byte("purged"), made.clock.Now()); err != nil {
			t.Fatal(err)
		}
		made.hand(t)
		testkit.Pass(made.Settings().Inactive + 2*time.Minute) // the purge holds for the files that are loaded anew
		clear := obstructs(t, made.Path)
		s := start(t, settings(made.Path))
		if got := s.log.take(); strings.Count(got, "\n") != 0 || !strings.Contains(got, `[crit] cache "one" rejects purges: "`+made.Path+`/purges" cannot be written`) {
			t.Errorf("the log: %s", got)
		}
		s.load(t)
		s.is("purged", "MISS")
		s.is("kept", "HIT")
		s.purges("wild*", syscall.EISDIR)
		s.is("purged", "HIT") // it was stored
		clear()
		testkit.Pass(time.Minute)
		s.purges("wild*", nil)
		if got := s.log.take(); !strings.Contains(got, `[notice] cache "one" accepts purges again`) {
			t.Errorf("the log: %s", got)
		}
		s.hand(t)
		again := start(t, settings(made.Path))
		again.is("wild1", "MISS")
		again.is("kept", "HIT")
	})
}

// Purges that cannot be read may cover anything, so everything counts as purged; what is stored since then is not.
func TestStartsWithoutReadingPurges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := start(t, settings(filepath.Join(t.TempDir(), "c")))
		made.get("k", "old")
		made.hand(t)
		path := filepath.Join(made.Path, "purges")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		starts := map[string]func() *store{
			"a process":   func() *store { return start(t, settings(made.Path)) },
			"a successor": func() *store { return succeeds(t, settings(made.Path)) },
		}
		for name, begin := range starts {
			testkit.Pass(time.Second)
			s := begin()
			s.is("k", "MISS")
			s.is("k", "HIT")
			if got := s.log.take(); !strings.Contains(got, `cache "one" purges everything: it cannot read its purges`) {
				t.Errorf("the log of %s: %s", name, got)
			}
		}
	})
}

// A failing disk loses purges that were acknowledged: whatever it loses, none of them is served again. The log says
// where the damage is, the purges after it still hold, and a copy is kept. What a crash cuts was never acknowledged.
func TestDamagedPurges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := start(t, settings(filepath.Join(t.TempDir(), "c")))
		path := filepath.Join(made.Path, "purges")
		for _, key := range []string{"first", "second", "third", "kept"} {
			made.get(key, "old")
		}
		var ends []int64
		var whole []byte
		for _, key := range []string{"first*", "second*", "third*"} {
			made.purges(key, nil)
			var err error
			if whole, err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
			ends = append(ends, int64(len(whole)))
		}
		made.hand(t)
		flip := func(at int64) []byte {
			damaged := bytes.Clone(whole)
			damaged[at] ^= 0x40
			return damaged
		}
		all := `[crit] cache "one" purges everything: "` + path + `" is damaged: `
		for name, c := range map[string]struct {
			file []byte
			kept string // of a response that was never purged
			log  string
		}{
			"sound":                    {whole, "HIT", ""},
			"a bit of a purge":         {flip(ends[0] + 20), "MISS", all + fmt.Sprintf("%d bytes from position %d on", ends[1]-ends[0], ends[0])},
			"a bit of a length":        {flip(ends[0]), "MISS", all},
			"a bit of the first line":  {flip(2), "MISS", all + "15 bytes from position 0 on"},
			"two purges":               {slices.Concat(whole[:15], make([]byte, ends[1]-15), whole[ends[1]:]), "MISS", all + fmt.Sprintf("%d bytes from position 15 on", ends[1]-15)},
			"all":                      {make([]byte, len(whole)), "MISS", all},
			"an incomplete last purge": {append(bytes.Clone(whole), whole[ends[1]:len(whole)-3]...), "HIT", "that was never acknowledged"},
		} {
			for who, begin := range map[string]func(t testing.TB, s cache.Settings) *store{
				"a process": start, "a successor": func(t testing.TB, s cache.Settings) *store { return startAs(t, s, true) },
			} {
				dir := filepath.Join(t.TempDir(), "c")
				err := errors.Join(os.CopyFS(dir, os.DirFS(made.Path)), os.WriteFile(filepath.Join(dir, "purges"), c.file, 0o600))
				if err != nil {
					t.Fatal(err)
				}
				testkit.Pass(time.Second)
				s := begin(t, settings(dir))
				log := strings.ReplaceAll(s.log.take(), dir, made.Path)
				if who == "a process" || c.kept == "MISS" {
					if !strings.Contains(log, c.log) || c.log == "" && log != "" {
						t.Errorf("%s, %s: the log: %s", name, who, log)
					}
				}
				for _, key := range []string{"first", "second", "third"} {
					s.is(key, "MISS")
				}
				s.is("kept", c.kept)
				s.is("kept", "HIT")
				_, err = os.Stat(filepath.Join(dir, "purges.damaged"))
				if (err == nil) != (who == "a process" && c.kept == "MISS") {
					t.Errorf("%s, %s: a copy of the damaged file: %v", name, who, err)
				}
				if who == "a process" {
					s.hand(t)
				}
			}
		}
	})
}

// A file in the place of the folder makes each response a miss, and keeps its owner.
func TestStartsWithAFileAsItsFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, settings(path))
	for range 2 {
		s.is("k", "MISS unstored")
	}
	s.purges("k", syscall.ENOTDIR)
	if err := s.GiveTo(os.Getuid(), os.Getgid()); err != nil {
		t.Error(err)
	}
}

// A process takes over although it cannot write the purges: it has read those that the other one made.
func TestSeizesWithoutWritingPurges(t *testing.T) {
	one := settings(filepath.Join(t.TempDir(), "c"))
	old := start(t, one)
	old.get("a", "before")
	old.get("b", "before")
	heir := succeeds(t, one)
	old.purges("a", nil)
	if err := old.Yield(); err != nil {
		t.Fatal(err)
	}
	obstructs(t, one.Path)
	if err := heir.Seize(); err != nil {
		t.Fatal(err)
	}
	heir.is("a", "MISS")
	heir.is("b", "HIT")
	heir.purges("b", syscall.EISDIR)
}

// Whoever removes the folder of a running cache does not bring back what was purged: the purges are written again, or
// new ones are rejected while that fails.
func TestAFolderRemovedWhileInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, settings(filepath.Join(t.TempDir(), "c")))
		s.load(t)
		s.log.take()
		s.get("purged", "old")
		s.get("kept", "old")
		backup := filepath.Join(t.TempDir(), "backup")
		if err := os.CopyFS(backup, os.DirFS(s.Path)); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(backup, "purges")); err != nil {
			t.Fatal(err)
		}
		s.purges("purged*", nil)
		remove := func(path string) {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			testkit.Pass(time.Minute)
		}
		const again = `[warn] cache "one" writes its purges again: somebody has removed or replaced "`
		remove(s.Path)
		if got := s.log.take(); !strings.HasPrefix(got, again) || strings.Contains(got, "\n") {
			t.Errorf("the log: %s", got)
		}
		s.purges("late*", nil)

		if err := os.RemoveAll(s.Path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.Path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		testkit.Pass(time.Minute)
		if got := s.log.take(); !strings.Contains(got, `[crit] cache "one" rejects purges: `) {
			t.Errorf("the log: %s", got)
		}
		s.purges("rejected*", syscall.ENOTDIR)
		remove(s.Path)
		s.purges("last*", nil)

		if err := os.CopyFS(s.Path, os.DirFS(backup)); err != nil {
			t.Fatal(err)
		}
		s.hand(t)
		next := start(t, settings(s.Path))
		next.load(t)
		next.is("purged", "MISS")
		next.is("kept", "HIT")
	})
}
