package logs

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestANamedPipeDoesNotStopTheStart: one that nobody reads is refused at once, one that is read gets the lines.
func TestANamedPipeDoesNotStopTheStart(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	targets := []Target{{Path: pipe, Level: Error}}
	logs := NewFiles("x").Logs()
	defer logs.Close()
	_, err := logs.ErrorLog(targets)
	want := `open() "` + pipe + `" failed (nobody reads this named pipe: start its reader first, or log to a file or to syslog)`
	if err == nil || err.Error() != want {
		t.Fatalf("without a reader: %v\nwant %s", err, want)
	}
	reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	log, err := logs.ErrorLog(targets)
	if err != nil {
		t.Fatal(err)
	}
	log.Logf(Error, "hello")
	if line, err := bufio.NewReader(reader).ReadString('\n'); err != nil || !strings.HasSuffix(line, "hello\n") {
		t.Errorf("the reader got %q, %v", line, err)
	}
}
