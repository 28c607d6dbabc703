package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// volume writes files as Kubernetes does: in a folder of their version, to which a link is renamed.
type volume struct {
	t       *testing.T
	dir     string
	version int
}

func (v *volume) set(files map[string]string) {
	v.t.Helper()
	v.version++
	name := fmt.Sprintf("..version%d", v.version)
	check := func(err error) {
		v.t.Helper()
		if err != nil {
			v.t.Fatal(err)
		}
	}
	check(os.MkdirAll(filepath.Join(v.dir, name), 0o755))
	for file, text := range files {
		check(os.WriteFile(filepath.Join(v.dir, name, file), []byte(text), 0o644))
		if _, err := os.Lstat(filepath.Join(v.dir, file)); err != nil {
			check(os.Symlink(filepath.Join("..data", file), filepath.Join(v.dir, file)))
		}
	}
	check(os.Symlink(name, filepath.Join(v.dir, "..data_tmp")))
	check(os.Rename(filepath.Join(v.dir, "..data_tmp"), filepath.Join(v.dir, "..data")))
}

// TestChangesAreReportedOnceTheyAreComplete.
func TestChangesAreReportedOnceTheyAreComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret, plain := &volume{t: t, dir: t.TempDir()}, t.TempDir()
		secret.set(map[string]string{"tls.crt": "one", "tls.key": "one"})
		changed := watch(t.Context(), []string{secret.dir, plain, filepath.Join(plain, "missing")})
		after := func(looks int) (reports []string) {
			for range looks {
				time.Sleep(watchEvery)
				synctest.Wait()
				select {
				case path := <-changed:
					reports = append(reports, path)
				default:
				}
			}
			return reports
		}
		if got := after(3); got != nil {
			t.Errorf("without a change: %v", got)
		}
		secret.set(map[string]string{"tls.crt": "second", "tls.key": "second"})
		if got := after(4); len(got) != 1 || got[0] != secret.dir {
			t.Errorf("after the link has moved: %v, want %s once", got, secret.dir)
		}
		// A file that grows at each look is reported when it no longer does.
		for i := range 3 {
			if err := os.WriteFile(filepath.Join(plain, "tls.crt"), []byte(strings.Repeat("x", i)), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := after(1); got != nil {
				t.Errorf("while it is written: %v", got)
			}
		}
		if got := after(3); len(got) != 1 || got[0] != plain {
			t.Errorf("after it was written: %v, want %s once", got, plain)
		}
		if err := os.WriteFile(filepath.Join(plain, "missing"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := after(4); len(got) != 2 {
			t.Errorf("after a file appeared: %v, want a report of it and one of its folder", got)
		}
	})
}

func TestWatchedPaths(t *testing.T) {
	many := t.TempDir()
	for i := range maxWatched + 1 {
		if err := os.WriteFile(filepath.Join(many, fmt.Sprint(i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for value, want := range map[string]string{
		"certs":     `STARLING_RELOAD_ON_CHANGE: "certs" is not an absolute path`,
		"/ " + many: "STARLING_RELOAD_ON_CHANGE: / has more than 10000 files",
	} {
		if _, err := watchedPaths(value); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", value, err, want)
		}
	}
	circle := t.TempDir()
	if err := os.Symlink(circle, filepath.Join(circle, "again")); err != nil {
		t.Fatal(err)
	}
	if paths, err := watchedPaths(" /missing\n" + circle); err != nil || len(paths) != 2 {
		t.Errorf("%v, %v", paths, err)
	}
}

func TestResolverAddresses(t *testing.T) {
	got := resolverAddresses([]string{"10.96.0.10", "fd00::a", "10.0.0.1", "10.0.0.2"})
	if want := "10.96.0.10 [fd00::a] 10.0.0.1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
