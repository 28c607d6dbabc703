package logs_test

import (
	"path/filepath"
	"testing"

	"starling/lib/testkit"
	"starling/logs"
)

// The last warnings and errors of all logs are kept, newest first; a storm of them costs no memory.
func TestRecent(t *testing.T) {
	all := logs.NewFiles("starling").Logs()
	defer all.Close()
	log, err := all.ErrorLog([]logs.Target{{Path: filepath.Join(t.TempDir(), "log"), Level: logs.Info}})
	if err != nil {
		t.Fatal(err)
	}
	silent, err := all.ErrorLog([]logs.Target{{Path: filepath.Join(t.TempDir(), "log"), Level: logs.Crit}})
	if err != nil {
		t.Fatal(err)
	}
	if lines, total := all.Recent(); len(lines) != 0 || total != 0 {
		t.Errorf("at first: %v of %d", lines, total)
	}
	log.Logf(logs.Notice, "no trouble")
	log.Logf(logs.Warn, "first\nline")
	silent.Logf(logs.Error, "a log that is not written")
	log.Logf(logs.Alert, "second")
	lines, total := all.Recent()
	if total != 2 || len(lines) != 2 || lines[0].Text != "second" || lines[0].Level != logs.Alert || lines[0].Number != 2 ||
		lines[1].Text != `first\x0Aline` || lines[1].At.IsZero() {
		t.Errorf("%+v of %d", lines, total)
	}
	asJSON, err := all.ErrorLog([]logs.Target{{Path: filepath.Join(t.TempDir(), "log"), Level: logs.Info, JSON: true}})
	if err != nil {
		t.Fatal(err)
	}
	asJSON.Logf(logs.Error, "%s", "{a line\nof JSON}")
	if lines, total := all.Recent(); total != 3 || lines[0].Text != "{a line\nof JSON}" || lines[0].Level != logs.Error {
		t.Errorf("%+v of %d", lines[0], total)
	}
	for i := range 1000 {
		log.Logf(logs.Error, "number %d", i)
	}
	lines, total = all.Recent()
	if total != 1003 || len(lines) != 200 || lines[0].Text != "number 999" || lines[199].Text != "number 800" {
		t.Errorf("%d of %d, from %+v to %+v", len(lines), total, lines[0], lines[len(lines)-1])
	}
	if n := testing.AllocsPerRun(100, func() { log.Logf(logs.Error, "a constant") }); n > 1 && !testkit.Race {
		t.Errorf("%v allocations for a line", n)
	}
}
