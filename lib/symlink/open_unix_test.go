//go:build unix

package symlink_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"starling/lib/symlink"
)

// tree makes a folder with a file, links of our own, and a link that has another owner than its target.
func tree(t *testing.T) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	foreign := "/etc/hosts" // of root
	if os.Getuid() == 0 {
		foreign = "file"
	}
	for _, err := range []error{
		os.Mkdir(root+"/dir", 0o755), os.WriteFile(root+"/dir/file", []byte("text"), 0o644),
		os.Symlink("file", root+"/dir/own"), os.Symlink(foreign, root+"/dir/foreign"),
		os.Symlink("dir", root+"/owndir"), os.Symlink("loop", root+"/loop"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		if err := os.Lchown(root+"/dir/foreign", 12345, -1); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestOpen(t *testing.T) {
	root := tree(t)
	linkedFolder := syscall.ELOOP
	if runtime.GOOS == "linux" {
		linkedFolder = syscall.ENOTDIR // what the kernel says of a link with O_PATH, O_DIRECTORY and O_NOFOLLOW
	}
	for _, c := range []struct {
		rule    symlink.Rule
		path    string
		trusted string
		want    error
	}{
		{symlink.Follow, "/dir/foreign", "", nil},
		{symlink.Reject, "/dir/file", "", nil},
		{symlink.Reject, "//dir/./../dir//file", "", nil},
		{symlink.Reject, "/dir/own", "", syscall.ELOOP},
		{symlink.Reject, "/dir/foreign", "", syscall.ELOOP},
		{symlink.Reject, "/owndir/file", "", linkedFolder},
		{symlink.Reject, "/owndir/file", "/owndir", nil},
		{symlink.Reject, "/owndir/own", "/owndir", syscall.ELOOP},
		{symlink.Reject, "/owndir/", "", linkedFolder},
		{symlink.Reject, "/dir/", "", nil},
		{symlink.Reject, "/dir/none", "", syscall.ENOENT},
		{symlink.Reject, "/none/file", "/none", syscall.ENOENT},
		{symlink.Reject, "/dir/file/", "", syscall.ENOTDIR},
		{symlink.SameOwner, "/dir/file", "", nil},
		{symlink.SameOwner, "/dir/own", "", nil},
		{symlink.SameOwner, "/owndir/own", "", nil},
		{symlink.SameOwner, "/owndir/foreign", "", syscall.ELOOP},
		{symlink.SameOwner, "/owndir/foreign", "/owndir", syscall.ELOOP},
		{symlink.SameOwner, "/loop", "", syscall.ELOOP},
		{symlink.SameOwner, "/dir/none", "", syscall.ENOENT},
	} {
		trusted := 0
		if c.trusted != "" {
			trusted = len(root + c.trusted)
		}
		file, err := symlink.Open(root+c.path, trusted, c.rule)
		if err == nil {
			defer file.Close()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("rule %d, %s, trusted %q: %v, want %v", c.rule, c.path, c.trusted, err, c.want)
		} else if err == nil && strings.HasSuffix(c.path, "file") {
			if text, err := io.ReadAll(file); string(text) != "text" {
				t.Errorf("%s: %q %v", c.path, text, err)
			}
		}
	}
}

func TestOpenRelative(t *testing.T) {
	t.Chdir(tree(t))
	for path, want := range map[string]error{"dir/file": nil, "dir/own": syscall.ELOOP, ".": nil} {
		file, err := symlink.Open(path, 0, symlink.Reject)
		if err == nil {
			file.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

// TestOpenClosesFolders: a server that opens files for years must not leak the folders on the way.
func TestOpenClosesFolders(t *testing.T) {
	root := tree(t)
	next := func() uintptr {
		file, err := os.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		return file.Fd()
	}
	round := func() {
		for _, path := range []string{"/dir/file", "/dir/own", "/dir/foreign", "/owndir/none", "/dir/"} {
			for _, rule := range []symlink.Rule{symlink.Reject, symlink.SameOwner} {
				if file, err := symlink.Open(root+path, 0, rule); err == nil {
					file.Close()
				}
			}
		}
	}
	round() // opens what the runtime keeps open
	first := next()
	for range 10 {
		round()
	}
	if now := next(); now != first {
		t.Errorf("the next descriptor is %d, was %d: some stayed open", now, first)
	}
}
