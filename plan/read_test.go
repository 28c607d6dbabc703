package plan

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFilesOfAConfigurationDoNotStopTheStart reads what is no file. A pipe is read where somebody writes: nginx takes
// passwords so.
func TestFilesOfAConfigurationDoNotStopTheStart(t *testing.T) {
	before := pipePatience
	t.Cleanup(func() { pipePatience = before })
	dir := t.TempDir()
	pipe, socket := filepath.Join(dir, "pipe"), filepath.Join(dir, "socket")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := New()
	p.FS = os.DirFS("/")
	pipePatience = 50 * time.Millisecond
	for path, want := range map[string]string{
		pipe:        "no data from the named pipe within 50ms",
		socket:      "not a regular file: socket",
		"/dev/zero": "not a regular file: device",
		dir:         "is a directory",
		dir + "/x":  "open " + dir + "/x: no such file or directory", // the file as the configuration names it, by the call of nginx
	} {
		if _, err := p.ReadFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	pipePatience = time.Minute
	go func() {
		if f, err := os.OpenFile(pipe, os.O_WRONLY, 0); err == nil {
			f.WriteString("pass")
			f.WriteString("word\n")
			f.Close()
		}
	}()
	for range 2 { // the second time it comes from memory
		if text, err := p.ReadFile(pipe); err != nil || string(text) != "password\n" {
			t.Errorf("through the pipe came %q, %v", text, err)
		}
	}
}
