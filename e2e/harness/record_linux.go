package harness

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// processor is the host's account of its time so far, in ticks.
type processor struct{ stolen, idle, total float64 }

func readProcessor(t *testing.T) (p processor) {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line)[1:9] { // guest time is contained in user time
		v, err := strconv.ParseFloat(field, 64)
		if err != nil {
			t.Fatal(err)
		}
		p.total += v
		switch i {
		case 3:
			p.idle = v
		case 7:
			p.stolen = v
		}
	}
	return p
}

// Record prints figures and, if STARLING_RECORD names a folder (bench/results), writes them there as the bench does,
// with the load of the machine since the hosts were made: figures of a busy machine are indicative.
func (h *Hosts) Record(name string, figures map[string]float64) {
	t := h.T
	now, since := time.Now().UTC(), readProcessor(t)
	passed := max(since.total-h.began.total, 1)
	steal, idle := (since.stolen-h.began.stolen)/passed, (since.idle-h.began.idle)/passed
	for _, key := range slices.Sorted(maps.Keys(figures)) {
		t.Logf("%s: %-42s %12.1f", name, key, figures[key])
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	machine := fmt.Sprintf(
		"%s/%s, %d cores, load average %s",
		runtime.GOOS,
		runtime.GOARCH,
		runtime.NumCPU(),
		strings.Fields(string(load))[0],
	)
	t.Logf("%s: steal %.1f %%, idle %.0f %%, %s", name, 100*steal, 100*idle, machine)
	dir := os.Getenv("STARLING_RECORD")
	if dir == "" {
		return
	}
	text, err := json.MarshalIndent(map[string]any{
		"date": now.Format(
			"2006-01-02T15:04:05Z",
		), "figures": figures, "machine": machine, "steal": steal, "idle": idle,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, now.Format("2006-01-02")+"-"+name+".json")
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
