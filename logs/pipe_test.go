package logs

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"starling/lib/testkit"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
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

// namedPipe makes one with its reader.
func namedPipe(t *testing.T) (path string, reader *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return path, reader
}

// TestAReaderThatStopsHangsNoRequest: lines wait for it up to a limit, further ones are lost, counted and reported once.
// When it reads again, it gets whole lines in their order.
func TestAReaderThatStopsHangsNoRequest(t *testing.T) {
	pipe, reader := namedPipe(t)
	files := NewFiles("x")
	reports := make(reported, 10)
	files.Report(func() Logger { return reports })
	logs := files.Logs()
	access, err := logs.AccessLog(AccessOptions{Path: pipe})
	if err != nil {
		t.Fatal(err)
	}
	const lineBytes, lines = 100, 3 * maxWaitingBytes / 100
	for i := range lines { // more than the pipe and its queue hold: without the queue, this waits for ever
		access.Write(fmt.Appendf(nil, "%0*d\n", lineBytes-1, i))
	}
	lost := files.Failed()
	if lost == 0 || lost > lines-maxWaitingBytes/lineBytes {
		t.Errorf("%d of %d lines were lost", lost, lines)
	}
	want := `[error] write() "` + pipe + `" failed (its reader has stopped, or reads too slowly); `
	if line := <-reports; !strings.HasPrefix(line, want) || !strings.HasSuffix(line, " lost so far") {
		t.Errorf("reported %q, want %s", line, want)
	}
	var read atomic.Uint64
	ended := make(chan bool)
	go func() {
		defer close(ended)
		in := bufio.NewReader(reader)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if line != fmt.Sprintf("%0*d\n", lineBytes-1, read.Load()) {
				t.Errorf("line %d is %q", read.Load(), line)
			}
			read.Add(1)
		}
	}()
	testkit.Eventually(t, time.Minute, func() error { // Close waits only for a moment for a slow reader
		if n := read.Load(); n+lost != lines {
			return fmt.Errorf("%d lines were read, %d lost, of %d", n, lost, lines)
		}
		return nil
	})
	logs.Close()
	<-ended
	if len(reports) > 0 {
		t.Errorf("reported again: %q", <-reports)
	}
}

// TestAReaderThatNeverReadsDelaysTheEndOnlyForAMoment: neither closing nor reopening waits for it.
func TestAReaderThatNeverReadsDelaysTheEndOnlyForAMoment(t *testing.T) {
	pipe, _ := namedPipe(t)
	files := NewFiles("x")
	files.Report(func() Logger { return Discard })
	logs := files.Logs()
	access, err := logs.AccessLog(AccessOptions{Path: pipe})
	if err != nil {
		t.Fatal(err)
	}
	line := append(bytes.Repeat([]byte("x"), 999), '\n')
	for range 300 {
		access.Write(line)
	}
	if errs := files.Reopen(); errs != nil {
		t.Fatal(errs)
	}
	for range 300 {
		access.Write(line)
	}
	logs.Close()
	if files.Drain(); len(files.byPath) != 0 {
		t.Error("the file is still there")
	}
}

// reported is a Logger that keeps its lines.
type reported chan string

func (r reported) Enabled(Level) bool { return true }

func (r reported) Logf(level Level, format string, args ...any) {
	r <- fmt.Sprintf("[%v] %s", level, fmt.Sprintf(format, args...))
}

// TestDrainWhileAFileBecomesAPipe: the race detector sees a reopening and the end of the process at the same moment.
func TestDrainWhileAFileBecomesAPipe(t *testing.T) {
	pipe, _ := namedPipe(t)
	path := filepath.Join(t.TempDir(), "log")
	files := NewFiles("x")
	logs := files.Logs()
	defer logs.Close()
	if _, err := logs.AccessLog(AccessOptions{Path: path}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(pipe, path); err != nil {
		t.Fatal(err)
	}
	reopened := make(chan []error)
	go func() { reopened <- files.Reopen() }()
	files.Drain()
	if errs := <-reopened; errs != nil {
		t.Error(errs)
	}
}
