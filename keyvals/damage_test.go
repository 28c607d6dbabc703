package keyvals

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/logs"
	"starling/plan"
	"starling/zone"
)

// lines is a log that a test reads.
type lines struct{ text []string }

func (l *lines) Enabled(logs.Level) bool { return true }

func (l *lines) Logf(level logs.Level, format string, args ...any) {
	l.text = append(l.text, fmt.Sprintf("%s: %s", level, fmt.Sprintf(format, args...)))
}

func zoneOf(p *plan.Plan) *Zone { return p.Zones.All()[0].Value.(*Zone) }

// A byte that the disk has changed costs one pair. The operator is told, and the next start finds a sound log.
func TestADamagedLogIsToldAndReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "one.keyval")
	text := "keyval_zone zone=one:32k state=" + file + ";"
	first := start(t, text, nil)
	for _, pair := range []string{`{"a":"first"}`, `{"b":"second"}`, `{"c":"third"}`} {
		if got := call(first, "POST one "+pair); got != "201" {
			t.Fatal(got)
		}
	}
	zoneOf(first).KeepAgreed(zone.Agreement{Lineage: 7, ThroughMS: 8})
	call(first, `PATCH one {"c":"third"}`) // waits for the disk
	whole, err := os.ReadFile(file + ".log")
	if err != nil {
		t.Fatal(err)
	}
	first.Retire()
	os.Remove(file)
	damaged := bytes.Replace(whole, []byte("second"), []byte("sEcond"), 1)
	if err := os.WriteFile(file+".log", damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, told := range []bool{true, false} {
		log := &lines{}
		p, err := load(t, text, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.Log = log
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := call(p, "GET one"); got != `{"a":"first","c":"third"}` {
			t.Errorf("restored %s", got)
		}
		// Else the peers would delete what is lost here, once they had not met this node for an hour.
		if agreed := zoneOf(p).Agreed(); len(agreed) > 0 {
			t.Errorf("it believes to hold what others hold: %v", agreed)
		}
		said := strings.Join(log.text, "\n")
		if told != strings.Contains(said, `error: state log "`+file+`.log" is damaged: `) || strings.Contains(said, "unfinished") {
			t.Errorf("the log says %q", said)
		}
		if told {
			now, err := os.ReadFile(file + ".log")
			if err != nil || bytes.Contains(now, []byte("sEcond")) {
				t.Errorf("the damaged log goes on: %q, %v", now, err)
			}
		}
		p.Retire()
	}
	if kept, _ := os.ReadFile(file + ".log.damaged"); !bytes.Equal(kept, damaged) {
		t.Errorf("the damaged log is not kept: %q", kept)
	}
}
