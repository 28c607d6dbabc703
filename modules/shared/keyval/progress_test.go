package keyval

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/admin"
	"starling/logs"
	"starling/plan"
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

// While the next configuration loads a state file, the API of the running one tells how far it is; afterwards, that of
// the next one has the result.
func TestTheAPITellsTheProgress(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(folder+"/small", []byte(`{"a":"1","b":"2"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	before := start(t, "keyval_zone zone=none:1m;", nil)
	show := func(p *plan.Plan) string {
		text, err := json.Marshal(progressResource(p).Handle(&admin.Call{Method: "GET", Version: 9}).Body)
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(`"elapsed_ms":\d+`).ReplaceAllString(strings.ReplaceAll(string(text), folder, "DIR"), "T")
	}
	const nothing = `{"state_files":[]}`
	if got := show(before); got != nothing {
		t.Errorf("at first: %s", got)
	}

	p := start(t, "keyval_zone zone=one:1m state="+folder+"/small;", before)
	one := newLoading(p.Log, "big.log", 9<<20, time.Now)
	storesOf(p).loads.begin(one)
	for range lookEvery + 1 {
		one.loaded(10)
	}
	const big = `{"file":"big.log","loading":true,"records":4096,"bytes_read":40960,"bytes_total":9437184,T}`
	if got, want := show(before), `{"state_files":[`+big+`]}`; got != want {
		t.Errorf("while it loads: %s, want %s", got, want)
	}
	storesOf(p).loads.end(one)
	if got := show(before); got != nothing {
		t.Errorf("afterwards: %s", got)
	}
	const small = `{"state_files":[{"file":"DIR/small","loading":false,"records":2,"bytes_read":17,"bytes_total":17,T}]}`
	if got := show(p); got != small {
		t.Errorf("the next one: %s, want %s", got, small)
	}

	if got := call(p, `POST one {"c":"3"}`); !strings.HasPrefix(got, "201") {
		t.Fatal(got)
	}
	p.Retire() // a restart
	again := start(t, "keyval_zone zone=one:1m state="+folder+"/small;", nil)
	if got := show(again); !strings.Contains(got, `"file":"DIR/small.log","loading":false,"records":`) || strings.Contains(got, `"records":0`) {
		t.Errorf("after a restart: %s", got)
	}
}
