package keyvals

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/plan"
)

// countWaits counts how often a write waits for the disk.
func countWaits(p *plan.Plan) *int {
	z, waits := zoneOf(p), new(int)
	s := plan.Part[stores](p).byPath[z.spec.state]
	z.OnCommit(func(record []byte) (func() error, error) {
		wait, err := s.keep(z.Keyval, record, p.Log)
		return func() error { *waits++; return wait() }, err
	}, func(payload []byte) { s.remote(z.Keyval, payload, p.Log) })
	return waits
}

// manyPairs is the body of a POST.
func manyPairs(count int) string {
	var body strings.Builder
	for i := range count {
		fmt.Fprintf(&body, `,"key %d":"value %d"`, i, i)
	}
	return "{" + body.String()[1:] + "}"
}

// A request waits for the disk once, however many pairs it brings, and is not answered before.
func TestARequestWaitsForTheDiskOnce(t *testing.T) {
	const pairs = 3000
	folder := t.TempDir()
	text := "keyval_zone zone=one:1m state=" + folder + "/FILE;"
	p := start(t, strings.Replace(text, "FILE", "a", 1), nil)
	waits := countWaits(p)
	for i, step := range []struct {
		call, want string
		left       int
	}{
		{"POST one " + manyPairs(pairs), "201", pairs},
		{`PATCH one {"key 7":null}`, "204", pairs - 1},
		{"DELETE one", "204", 0},
		// The last one has no room: those before it are taken back.
		{"POST one " + strings.Replace(manyPairs(pairs), "value 2999", strings.Repeat("x", 1<<20), 1), "400 KeyvalOutOfMemory", 0},
	} {
		*waits = 0
		if got := call(p, step.call); !strings.HasPrefix(got, step.want) || *waits != 1 {
			t.Errorf("%.20s…: %.60s, and it waited for the disk %d times", step.call, got, *waits)
		}
		// What a crash leaves now:
		log, err := os.ReadFile(filepath.Join(folder, "a.log"))
		if err != nil {
			t.Fatal(err)
		}
		crashed := fmt.Sprint("crashed", i)
		if err := os.WriteFile(filepath.Join(folder, crashed+".log"), log, 0o600); err != nil {
			t.Fatal(err)
		}
		if left := zoneOf(start(t, strings.Replace(text, "FILE", crashed, 1), nil)).Len(); left != step.left {
			t.Errorf("%.20s…: %d pairs are on disk, not %d", step.call, left, step.left)
		}
	}
}
