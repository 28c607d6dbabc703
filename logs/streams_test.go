package logs_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"starling/logs"
)

const (
	streamsVariable = "TEST_LOGS_STREAMS" // tells the helper where its links are
	nobody          = 65534
)

// TestStreamsHelper is the process that the test below starts: it logs to the standard streams by each of their names.
func TestStreamsHelper(t *testing.T) {
	dir := os.Getenv(streamsVariable)
	if dir == "" {
		t.Skip("runs only as a process of TestStreamsOfAnotherUser")
	}
	files := logs.NewFiles("starling")
	files.Echo(os.Stderr)
	l := files.Logs()
	for _, path := range []string{"/dev/stdout", "/dev/fd/1", dir + "/access.log"} {
		a, err := l.AccessLog(logs.AccessOptions{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		a.Write([]byte(path + "\n"))
	}
	for _, path := range []string{"/dev/stderr", dir + "/error.log"} {
		e, err := l.ErrorLog([]logs.Target{{Path: path, Level: logs.Info}})
		if err != nil {
			t.Fatal(err)
		}
		e.Logf(logs.Error, "via %s", path)
	}
	if errs := append(files.Reopen(), files.Chown(nobody, nobody)...); len(errs) > 0 {
		t.Error(errs)
	}
	l.Close()
	os.Stdout.WriteString("still open\n")
}

// The streams of a container belong to another user, or are sockets of a service manager: opening them anew fails, the
// descriptors work. Each line is there once, although grave ones go to standard error as well.
func TestStreamsOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may start a process of another user")
	}
	dir := t.TempDir()
	for link, to := range map[string]string{"access.log": "/dev/stdout", "error.log": "/dev/stderr"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "logs.test") // one that the other user may run
	copyFile(t, os.Args[0], binary)
	for name, open := range map[string]func(*testing.T) (ours, theirs *os.File){"pipe": pipe, "socket": socketPair, "file": privateFile} {
		t.Run(name, func(t *testing.T) {
			outReader, out := open(t)
			errReader, err := open(t)
			helper := exec.Command(binary, "-test.run=^TestStreamsHelper$")
			helper.Dir, helper.Env = "/", append(os.Environ(), streamsVariable+"="+dir)
			helper.Stdout, helper.Stderr = out, err
			helper.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			failure := helper.Run()
			out.Close()
			err.Close()
			stdout, stderr := readAll(t, outReader), readAll(t, errReader)
			if failure != nil {
				t.Fatalf("%v\n%s%s", failure, stdout, stderr)
			}
			if want := "/dev/stdout\n/dev/fd/1\n" + dir + "/access.log\nstill open\n"; !strings.HasPrefix(stdout, want) {
				t.Errorf("standard output has\n%s, want\n%s", stdout, want)
			}
			if strings.Count(stderr, "via /dev/stderr\n") != 1 || strings.Count(stderr, "via "+dir+"/error.log\n") != 1 {
				t.Errorf("standard error does not have each line once:\n%s", stderr)
			}
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func pipe(t *testing.T) (ours, theirs *os.File) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

func socketPair(t *testing.T) (ours, theirs *os.File) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
}

// privateFile is root's alone.
func privateFile(t *testing.T) (ours, theirs *os.File) {
	theirs, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if ours, err = os.Open(theirs.Name()); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

func readAll(t *testing.T, f *os.File) string {
	t.Helper()
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A log made by root belongs to whoever has the folder: testing a configuration as root must not keep a server that is
// somebody else from opening its logs.
func TestLogMadeInAFolderOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	dir := t.TempDir()
	old := filepath.Join(dir, "old.log")
	if err := os.WriteFile(old, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	l := logs.NewFiles("starling").Logs()
	defer l.Close()
	for name, want := range map[string]uint32{"new.log": nobody, "old.log": 0} {
		path := filepath.Join(dir, name)
		if _, err := l.AccessLog(logs.AccessOptions{Path: path}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if stat := info.Sys().(*syscall.Stat_t); stat.Uid != want || stat.Gid != want {
			t.Errorf("%s belongs to %d:%d, want %d", name, stat.Uid, stat.Gid, want)
		}
	}
}
