package logs_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/testkit"
	"starling/logs"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestErrorLogLineAndLevels(t *testing.T) {
	dir := t.TempDir()
	all, grave := filepath.Join(dir, "all.log"), filepath.Join(dir, "grave.log")
	log, err := logs.NewFiles("starling").Logs().ErrorLog([]logs.Target{{Path: all, Level: logs.Info}, {Path: grave, Level: logs.Error}})
	if err != nil {
		t.Fatal(err)
	}
	log.Logf(logs.Debug, "nobody wants this")
	log.Logf(logs.Notice, "reconfiguring")
	log.Logf(logs.Error, "*%d limiting requests", 5)
	log.Logf(logs.Warn, "client sent \"%s\"", "a\n2026/01/01 [alert] forged\x7f")

	pid := fmt.Sprint(os.Getpid())
	stamp := `\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `
	from := pid + "#" + pid + ": "
	want := regexp.MustCompile(`^` + stamp + `\[notice\] ` + from + `reconfiguring
` + stamp + `\[error\] ` + from + `\*5 limiting requests
` + stamp + `\[warn\] ` + from + `client sent "a\\x0A2026/01/01 \[alert\] forged\\x7F"
$`)
	if got := read(t, all); !want.MatchString(got) {
		t.Errorf("got\n%s", got)
	}
	if got := read(t, grave); strings.Count(got, "\n") != 1 || !strings.Contains(got, "[error]") {
		t.Errorf("the log of level error holds\n%s", got)
	}
	if log.Enabled(logs.Debug) || !log.Enabled(logs.Info) {
		t.Error("Enabled does not follow the least grave target")
	}
}

func TestErrorsOfTheSystemHaveNginxsWords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "error.log")
	log, err := logs.NewFiles("starling").Logs().ErrorLog([]logs.Target{{Path: path, Level: logs.Error}})
	if err != nil {
		t.Fatal(err)
	}
	sparing := logs.NewSparing(log)
	reset := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	log.Logf(logs.Error, "%v while waiting for request", reset)
	for range 2 {
		sparing.Logf(logs.Error, "", "stranger: %v", reset)
	}
	sparing.Close()
	got := read(t, path)
	for _, want := range []string{
		": recv() failed (104: Connection reset by peer) while waiting for request\n",
		": stranger: recv() failed (104: Connection reset by peer)\n",
		"the last one: stranger: recv() failed (104: Connection reset by peer)\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in\n%s", want, got)
		}
	}
}

func TestErrorLineIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "error.log")
	log, err := logs.NewFiles("starling").Logs().ErrorLog([]logs.Target{{Path: path, Level: logs.Error}})
	if err != nil {
		t.Fatal(err)
	}
	log.Logf(logs.Error, "%s", strings.Repeat("x", 1<<20))
	if got := read(t, path); len(got) != 2048 || !strings.HasSuffix(got, "x\n") {
		t.Errorf("the line has %d bytes", len(got))
	}
}

func TestGraveLinesAreEchoedUntilTheProcessRuns(t *testing.T) {
	files := logs.NewFiles("starling")
	var screen bytes.Buffer
	files.Echo(&screen)
	log, err := files.Logs().ErrorLog([]logs.Target{{Path: filepath.Join(t.TempDir(), "e"), Level: logs.Crit}})
	if err != nil {
		t.Fatal(err)
	}
	log.Logf(logs.Notice, "nothing to see")
	log.Logf(logs.Warn, "odd")
	files.Echo(nil)
	log.Logf(logs.Emerg, "later")
	if got := screen.String(); got != "starling: [warn] odd\n" {
		t.Errorf("got %q", got)
	}
}

func TestReopenFollowsThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	files := logs.NewFiles("starling")
	opened := files.Logs()
	log, err := opened.AccessLog(logs.AccessOptions{Path: path, BufferBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	log.Write([]byte("one\n"))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if errs := files.Reopen(); len(errs) > 0 {
		t.Fatal(errs)
	}
	log.Write([]byte("two\n"))
	opened.Close()
	if old, now := read(t, path+".1"), read(t, path); old != "one\n" || now != "two\n" {
		t.Errorf("moved file %q, new file %q", old, now)
	}
}

func TestFileOutlivesTheConfigurationThatSharesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	files := logs.NewFiles("starling")
	old, next := files.Logs(), files.Logs()
	var access [2]*logs.AccessLog
	for i, l := range []*logs.Logs{old, next} {
		var err error
		if access[i], err = l.AccessLog(logs.AccessOptions{Path: path}); err != nil {
			t.Fatal(err)
		}
	}
	old.Close()
	access[1].Write([]byte("still here\n"))
	next.Close()
	access[1].Write([]byte("too late\n"))
	if got := read(t, path); got != "still here\n" {
		t.Errorf("got %q", got)
	}
}

func TestAccessLogFlushesAfterItsTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	synctest.Test(t, func(t *testing.T) {
		opened := logs.NewFiles("starling").Logs()
		log, err := opened.AccessLog(logs.AccessOptions{Path: path, BufferBytes: 64, Flush: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		log.Write([]byte("waits\n"))
		if got := read(t, path); got != "" {
			t.Errorf("written at once: %q", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := read(t, path); got != "waits\n" {
			t.Errorf("after the flush time: %q", got)
		}
		log.Write([]byte(strings.Repeat("a", 40) + "\n"))
		log.Write([]byte(strings.Repeat("b", 40) + "\n"))
		if got := read(t, path); !strings.HasSuffix(got, "aaa\n") {
			t.Errorf("a full buffer was not written: %q", got)
		}
	})
}

func TestOpenProblemsAreInNginxWords(t *testing.T) {
	opened := logs.NewFiles("starling").Logs()
	_, err := opened.ErrorLog([]logs.Target{{Path: "/nowhere/error.log", Level: logs.Error}})
	if want := `open() "/nowhere/error.log" failed (2: No such file or directory)`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	path := filepath.Join(t.TempDir(), "a.log")
	if _, err := opened.AccessLog(logs.AccessOptions{Path: path, BufferBytes: 4096}); err != nil {
		t.Fatal(err)
	}
	_, err = opened.AccessLog(logs.AccessOptions{Path: path, BufferBytes: 8192})
	if want := `access_log "` + path + `" already defined with conflicting parameters`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestFailedWritesAreCounted(t *testing.T) {
	files := logs.NewFiles("starling")
	opened := files.Logs()
	log, err := opened.AccessLog(logs.AccessOptions{Path: "/dev/full"})
	if err != nil {
		t.Skip("no /dev/full on this system: ", err)
	}
	log.Write([]byte("lost\n"))
	if n := files.Failed(); n != 1 {
		t.Errorf("%d failures counted", n)
	}
	opened.Close()
	if n := files.Logs().Lost(); n != 1 {
		t.Errorf("%d failures counted after the file was closed", n)
	}
}

// TestTheErrorLogTellsOfLogsThatCannotBeWritten has one that lives and one that is full itself.
func TestTheErrorLogTellsOfLogsThatCannotBeWritten(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full on this system: ", err)
	}
	path := filepath.Join(t.TempDir(), "error.log")
	files := logs.NewFiles("starling")
	opened := files.Logs()
	errors, err := opened.ErrorLog([]logs.Target{{Path: path, Level: logs.Error}, {Path: "/dev/full", Level: logs.Error}})
	if err != nil {
		t.Fatal(err)
	}
	files.Report(func() logs.Logger { return errors })
	access, err := opened.AccessLog(logs.AccessOptions{Path: "/dev/full"})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		access.Write([]byte("lost\n"))
	}
	const want = "[alert]"
	testkit.Eventually(t, time.Minute, func() error {
		if text := read(t, path); !strings.Contains(text, want) || !strings.Contains(text, "write() \"/dev/full\" failed (28: No space left on device)") {
			return fmt.Errorf("the error log has %q", text)
		}
		return nil
	})
	testkit.Eventually(t, time.Minute, func() error { // the alert itself failed too in the file that is full
		if n := files.Failed(); n != 101 {
			return fmt.Errorf("%d failures", n)
		}
		return nil
	})
	if n := strings.Count(read(t, path), "\n"); n != 1 {
		t.Errorf("the error log has %d lines", n)
	}
}

func TestWritingLogsAllocatesNothing(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	dir := t.TempDir()
	opened := logs.NewFiles("starling").Logs()
	access, err := opened.AccessLog(logs.AccessOptions{Path: filepath.Join(dir, "a"), BufferBytes: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 200) + "\n")
	if n := testing.AllocsPerRun(1000, func() { access.Write(line) }); n != 0 {
		t.Errorf("a line costs %v allocations", n)
	}
}
