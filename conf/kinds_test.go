package conf_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"starling/conf"
)

// TestOnlyFilesAreIncluded has nobody at the other end of a pipe and a device without an end: both would stop the
// start.
func TestOnlyFilesAreIncluded(t *testing.T) {
	dir := t.TempDir()
	pipe, socket, folder := filepath.Join(dir, "pipe"), filepath.Join(dir, "socket"), filepath.Join(dir, "folder")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(pipe, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		pipe:        `open() "` + pipe + `" failed (not a regular file: named pipe)`,
		link:        `open() "` + link + `" failed (not a regular file: named pipe)`,
		socket:      `open() "` + socket + `" failed (not a regular file: socket)`,
		"/dev/zero": `open() "/dev/zero" failed (not a regular file: device)`,
		folder:      `read() "` + folder + `" failed (21: Is a directory)`,
		dir + "/x":  `open() "` + dir + `/x" failed (2: No such file or directory)`,
		dir + "/p*": `open() "` + pipe + `" failed (not a regular file: named pipe)`,
	} {
		main := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(main, []byte("include "+path+";"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := conf.Parse(os.DirFS("/"), main)
		if err == nil || err.Error() != want+" in "+main+":1" {
			t.Errorf("include %s: got %v, want %s", path, err, want)
		}
	}
	if _, err := conf.Parse(os.DirFS("/"), pipe); err == nil || !strings.HasPrefix(err.Error(), `open() "`+pipe+`" failed (not a regular file: named pipe)`) {
		t.Errorf("as the main file: %v", err)
	}
}

// TestProblemsKeepPasswords is about all directives that take URLs: the errors of all go through Problem.
func TestProblemsKeepPasswords(t *testing.T) {
	at := &conf.Node{File: "/a.conf", Line: 3}
	for _, p := range []*conf.Problem{
		conf.At(at, "invalid port in upstream \"%s\"", "user:secret@host"),
		conf.AtEnd(at, "host not found in \"http://user:secret@host/\""),
		{What: "unknown directive \"http://user:secret@host\"", File: conf.CommandLine},
		{What: "http://user:secret@host"},
	} {
		if text := p.Error(); strings.Contains(text, "secret") || !strings.Contains(text, "user:***@host") {
			t.Error(text)
		}
	}
}
