package keyval

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"starling/logs"
)

type told []string

func (l *told) Enabled(logs.Level) bool { return true }

func (l *told) Logf(_ logs.Level, format string, args ...any) {
	*l = append(*l, fmt.Sprintf(format, args...))
}

// A state log that takes long to load says so every five seconds, and at the end; a short one says nothing.
func TestLoadingTellsItsProgress(t *testing.T) {
	for _, c := range []struct {
		perRecord time.Duration
		want      []string
	}{
		{time.Microsecond, nil},
		{time.Millisecond, []string{
			`loading state file "a.log": 8192 records so far, 8 of 20 MB`,
			`loading state file "a.log": 16384 records so far, 16 of 20 MB`,
			`loaded state file "a.log": 20000 records in 20 s`,
		}},
	} {
		now := time.Unix(1_800_000_000, 0)
		var said told
		l := newLoading(&said, "a.log", 20<<20, func() time.Time {
			now = now.Add(time.Nanosecond) // no two looks at a clock see the same time
			return now
		})
		for range 20_000 {
			now = now.Add(c.perRecord)
			l.loaded(1 << 10)
		}
		l.ended()
		if !slices.Equal(said, c.want) {
			t.Errorf("%v a record: %q, want %q", c.perRecord, said, c.want)
		}
	}
}
