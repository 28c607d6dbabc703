package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// record prints figures and, where STARLING_RECORD names a folder (bench/results), writes them there as the bench does.
func record(t *testing.T, name string, figures map[string]float64) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(figures)) {
		t.Logf("%s: %-42s %12.1f", name, key, figures[key])
	}
	dir := os.Getenv("STARLING_RECORD")
	if dir == "" {
		return
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	text, err := json.MarshalIndent(map[string]any{
		"date": now.Format("2006-01-02T15:04:05Z"), "figures": figures,
		"machine": fmt.Sprintf("%s/%s, %d cores, load average %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), strings.Fields(string(load))[0]),
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, now.Format("2006-01-02")+"-"+name+".json"), append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
