package owner_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"starling/lib/owner"
)

const nobody = 65534

// TestGive: links are not followed, whatever they lead to, and nothing but files and folders changes hands.
func TestGive(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"plain", "victim", "linked"} {
		try(os.WriteFile(path(name), nil, 0o600))
	}
	try(os.Mkdir(path("folder"), 0o700))
	try(os.Mkdir(path("victims"), 0o700))
	try(os.Symlink(path("victim"), path("to file")))
	try(os.Symlink(path("victims"), path("to folder")))
	try(os.Symlink(os.DevNull, path("to device")))
	try(os.Symlink(path("nothing"), path("to nothing")))
	try(os.Link(path("linked"), path("second name")))
	try(unix.Mkfifo(path("pipe"), 0o600))
	for _, c := range []struct {
		name  string
		err   error
		given string // who must have changed hands
		kept  string // who must not
	}{
		{"plain", nil, "plain", ""},
		{"folder", nil, "folder", ""},
		{"to file", owner.ErrSymlink, "", "victim"},
		{"to folder", owner.ErrSymlink, "", "victims"},
		{"to device", nil, "", "to device"},
		{"to nothing", nil, "", "to nothing"},
		{"second name", owner.ErrHardLink, "", "linked"},
		{"pipe", nil, "", "pipe"},
		{"nothing", nil, "", ""},
	} {
		if err := owner.Give(path(c.name), nobody, nobody); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		for name, want := range map[string]uint32{c.given: nobody, c.kept: 0} {
			if name == "" {
				continue
			}
			info, err := os.Stat(path(name))
			if errors.Is(err, os.ErrNotExist) {
				continue // a link to nothing
			}
			if stat := info.Sys().(*syscall.Stat_t); err != nil || stat.Uid != want || stat.Gid != want {
				t.Errorf("%s: %s belongs to %d:%d, want %d (%v)", c.name, name, stat.Uid, stat.Gid, want, err)
			}
		}
	}
}

// TestGiveFolders: the folders that a process has made for itself, and nothing that lies beside or in them.
func TestGiveFolders(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"own/1/23", "own/1/x3", "own/12", "own/a", "own/4/56/7", "victim/89"} {
		if err := os.MkdirAll(path(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path("own/1/23/file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path("victim"), path("own/5")); err != nil {
		t.Fatal(err)
	}
	owner.GiveFolders(path("nothing"), []int{1}, nobody, nobody, func(path string, err error) { t.Errorf("%s: %v", path, err) })
	var failures []string
	owner.GiveFolders(path("own"), []int{1, 2}, nobody, nobody, func(path string, err error) {
		failures = append(failures, path)
		if !errors.Is(err, owner.ErrSymlink) {
			t.Errorf("%s: %v", path, err)
		}
	})
	if want := path("own/5"); len(failures) != 1 || failures[0] != want {
		t.Errorf("it could not give %v, want %s", failures, want)
	}
	for name, want := range map[string]uint32{
		"own": nobody, "own/1": nobody, "own/1/23": nobody, "own/4": nobody, "own/4/56": nobody,
		"own/1/23/file": 0, "own/1/x3": 0, "own/12": 0, "own/a": 0, "own/4/56/7": 0, "victim": 0, "victim/89": 0,
	} {
		info, err := os.Stat(path(name))
		if err != nil {
			t.Fatal(err)
		}
		if stat := info.Sys().(*syscall.Stat_t); stat.Uid != want || stat.Gid != want {
			t.Errorf("%s belongs to %d:%d, want %d", name, stat.Uid, stat.Gid, want)
		}
	}
}
