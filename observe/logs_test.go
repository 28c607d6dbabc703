package observe_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/testkit"
	"starling/observe"
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
	log, err := observe.NewFiles("starling").Logs().ErrorLog([]observe.Target{{Path: all, Level: observe.Info}, {Path: grave, Level: observe.Error}})
	if err != nil {
		t.Fatal(err)
	}
	log.Logf(observe.Debug, "nobody wants this")
	log.Logf(observe.Notice, "reconfiguring")
	log.Logf(observe.Error, "*%d limiting requests", 5)
	log.Logf(observe.Warn, "client sent \"%s\"", "a\n2026/01/01 [alert] forged\x7f")

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
	if log.Enabled(observe.Debug) || !log.Enabled(observe.Info) {
		t.Error("Enabled does not follow the least grave target")
	}
}

func TestErrorLineIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "error.log")
	log, err := observe.NewFiles("starling").Logs().ErrorLog([]observe.Target{{Path: path, Level: observe.Error}})
	if err != nil {
		t.Fatal(err)
	}
	log.Logf(observe.Error, "%s", strings.Repeat("x", 1<<20))
	if got := read(t, path); len(got) != 2048 || !strings.HasSuffix(got, "x\n") {
		t.Errorf("the line has %d bytes", len(got))
	}
}

func TestGraveLinesAreEchoedUntilTheProcessRuns(t *testing.T) {
	files := observe.NewFiles("starling")
	var screen bytes.Buffer
	files.Echo(&screen)
	log, err := files.Logs().ErrorLog([]observe.Target{{Path: filepath.Join(t.TempDir(), "e"), Level: observe.Crit}})
	if err != nil {
		t.Fatal(err)
	}
	log.Logf(observe.Notice, "nothing to see")
	log.Logf(observe.Warn, "odd")
	files.Echo(nil)
	log.Logf(observe.Emerg, "later")
	if got := screen.String(); got != "starling: [warn] odd\n" {
		t.Errorf("got %q", got)
	}
}

func TestReopenFollowsThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	files := observe.NewFiles("starling")
	logs := files.Logs()
	log, err := logs.AccessLog(observe.AccessOptions{Path: path, BufferBytes: 4096})
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
	logs.Close()
	if old, now := read(t, path+".1"), read(t, path); old != "one\n" || now != "two\n" {
		t.Errorf("moved file %q, new file %q", old, now)
	}
}

func TestFileOutlivesTheConfigurationThatSharesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	files := observe.NewFiles("starling")
	old, next := files.Logs(), files.Logs()
	var logs [2]*observe.AccessLog
	for i, l := range []*observe.Logs{old, next} {
		var err error
		if logs[i], err = l.AccessLog(observe.AccessOptions{Path: path}); err != nil {
			t.Fatal(err)
		}
	}
	old.Close()
	logs[1].Write([]byte("still here\n"))
	next.Close()
	logs[1].Write([]byte("too late\n"))
	if got := read(t, path); got != "still here\n" {
		t.Errorf("got %q", got)
	}
}

func TestAccessLogFlushesAfterItsTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	synctest.Test(t, func(t *testing.T) {
		logs := observe.NewFiles("starling").Logs()
		log, err := logs.AccessLog(observe.AccessOptions{Path: path, BufferBytes: 64, Flush: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer logs.Close()
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
	logs := observe.NewFiles("starling").Logs()
	_, err := logs.ErrorLog([]observe.Target{{Path: "/nowhere/error.log", Level: observe.Error}})
	if want := `open() "/nowhere/error.log" failed (2: No such file or directory)`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	path := filepath.Join(t.TempDir(), "a.log")
	if _, err := logs.AccessLog(observe.AccessOptions{Path: path, BufferBytes: 4096}); err != nil {
		t.Fatal(err)
	}
	_, err = logs.AccessLog(observe.AccessOptions{Path: path, BufferBytes: 8192})
	if want := `access_log "` + path + `" already defined with conflicting parameters`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestFailedWritesAreCounted(t *testing.T) {
	files := observe.NewFiles("starling")
	log, err := files.Logs().AccessLog(observe.AccessOptions{Path: "/dev/full"})
	if err != nil {
		t.Skip("no /dev/full on this system: ", err)
	}
	log.Write([]byte("lost\n"))
	if n := files.Failed(); n != 1 {
		t.Errorf("%d failures counted", n)
	}
}

func TestWritingLogsAllocatesNothing(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	dir := t.TempDir()
	logs := observe.NewFiles("starling").Logs()
	access, err := logs.AccessLog(observe.AccessOptions{Path: filepath.Join(dir, "a"), BufferBytes: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 200) + "\n")
	if n := testing.AllocsPerRun(1000, func() { access.Write(line) }); n != 0 {
		t.Errorf("a line costs %v allocations", n)
	}
}
