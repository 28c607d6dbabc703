package geoip2

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"starling/logs"
	"starling/modules/shared/geoip2/geoip2test"
)

// record collects the lines of a log.
type record struct {
	mu    sync.Mutex
	lines []string
}

func (r *record) Logf(level logs.Level, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, level.String()+": "+fmt.Sprintf(format, args...))
}

func (r *record) Enabled(logs.Level) bool { return true }

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

func country(code string) []byte {
	return geoip2test.Database(map[string]map[string]any{"192.0.2.0/24": {"iso_code": code}})
}

func opened(t *testing.T, file []byte) (*database, *record) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.mmdb")
	replace(t, path, file, 1000)
	log := new(record)
	d := &database{path: path, files: os.DirFS("/"), log: log, everyS: 60}
	if err := d.open(nil, 1000); err != nil {
		t.Fatal(err)
	}
	return d, log
}

// replace renames a new file to the path, as programs that update databases do.
func replace(t *testing.T, path string, file []byte, modifiedS int64) {
	t.Helper()
	next := path + ".new"
	if err := os.WriteFile(next, file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(next, time.Time{}, time.Unix(modifiedS, 0)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func (d *database) code(t *testing.T, nowS int64) string {
	t.Helper()
	got, _ := d.at(nowS).appendValue(nil, netip.MustParseAddr("192.0.2.1"), []string{"iso_code"}, d.log, d.path)
	return string(got)
}

// checked waits until the check that a lookup started has ended.
func (d *database) checked(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); d.checking.Load(); {
		if time.Now().After(end) {
			t.Fatal("the check does not end")
		}
	}
}

func TestReloads(t *testing.T) {
	d, log := opened(t, country("AT"))
	replace(t, d.path, country("CH"), 1030)
	if got := d.code(t, 1059); got != "AT" || d.checking.Load() || d.checkedAtS.Load() != 1000 {
		t.Errorf("before the check: %s, checked at %d", got, d.checkedAtS.Load())
	}
	d.at(1060) // starts the check
	d.checked(t)
	if got := d.code(t, 1061); got != "CH" || d.checkedAtS.Load() != 1060 || d.contents.Load().changedS != 1030 {
		t.Errorf("after the check: %s, checked at %d, changed at %d", got, d.checkedAtS.Load(), d.contents.Load().changedS)
	}
	if log.String() != `info: Reload MMDB "`+d.path+`"` {
		t.Errorf("log:\n%s", log)
	}
	contents := d.contents.Load()
	d.at(1120)
	d.checked(t)
	if d.contents.Load() != contents {
		t.Error("a file that did not change was read again")
	}
}

func TestReloadOfDamagedFileKeepsTheOldContents(t *testing.T) {
	d, log := opened(t, country("AT"))
	for i, damaged := range [][]byte{nil, []byte("no database"), country("CH")[:200]} {
		replace(t, d.path, damaged, 1030)
		nowS := int64(1060 * (i + 1))
		d.at(nowS)
		d.checked(t)
		if got := d.code(t, nowS+1); got != "AT" {
			t.Errorf("%d bytes: %q", len(damaged), got)
		}
	}
	if err := os.Remove(d.path); err != nil {
		t.Fatal(err)
	}
	d.at(10_000)
	d.checked(t)
	if got := d.code(t, 10_001); got != "AT" {
		t.Errorf("without a file: %q", got)
	}
	lines := log.String()
	want := `error: MMDB_open("` + d.path + `") failed to reload (`
	if strings.Count(lines, want) != 4 || !strings.HasSuffix(lines, want+"2: No such file or directory)") {
		t.Errorf("log:\n%s", lines)
	}
}

// TestTakesOver: the same file is in memory once; another one is read.
func TestTakesOver(t *testing.T) {
	old, _ := opened(t, country("AT"))
	next := &database{path: old.path, files: old.files, log: old.log}
	if err := next.open([]*database{old}, 2000); err != nil || next.contents.Load() != old.contents.Load() {
		t.Errorf("the same file: %v, was read again", err)
	}
	replace(t, old.path, country("CH"), 1500)
	if err := next.open([]*database{old}, 2000); err != nil || next.code(t, 2000) != "CH" {
		t.Errorf("another file: %v, %s", err, next.code(t, 2000))
	}
}

// TestDamagedRecords: whatever a file has, a lookup ends with a value or without one.
func TestDamagedRecords(t *testing.T) {
	whole := geoip2test.Database(map[string]map[string]any{
		"192.0.2.0/24": {"iso_code": "AT", "list": geoip2test.Array{"a", map[string]any{"b": uint32(1)}}},
	})
	path, addr := [][]string{{"iso_code"}, {"list", "1", "b"}, {"list", "-1", "b"}}, netip.MustParseAddr("192.0.2.1")
	logged := 0
	for at := range whole {
		for _, bits := range []byte{0xff, 0x20, 0x01} {
			damaged := append([]byte{}, whole...)
			damaged[at] ^= bits
			log := new(record)
			d := &database{path: "/x.mmdb", files: fstest.MapFS{"x.mmdb": {Data: damaged}}, log: log}
			if d.open(nil, 0) != nil {
				continue // refused at start
			}
			for range 2 {
				for _, p := range path {
					d.contents.Load().appendValue(nil, addr, p, log, d.path)
				}
			}
			switch n := strings.Count(log.String(), "is damaged: "); {
			case n > 1:
				t.Errorf("byte %d: the log has %d lines:\n%s", at, n, log)
			case n == 1:
				logged++
			}
		}
	}
	if logged == 0 {
		t.Error("no damage was logged")
	}
}
