package keyval

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

// Whatever a disk makes of the log, the node starts: with the rest of the log, the JSON file, and what peers will send.
func TestADamagedBeginningIsNoReasonNotToStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "one.keyval")
	text := "keyval_zone zone=one:32k state=" + file + ";"
	first := start(t, text, nil)
	call(first, `POST one {"old":"1"}`)
	call(first, "DELETE one")
	call(first, `POST one {"a":"1","b":"2"}`)
	first.Retire()
	json, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	second := start(t, text, nil)
	call(second, `PATCH one {"b":null}`)
	call(second, `POST one {"c":"3"}`) // after the JSON file was written
	whole, err := os.ReadFile(file + ".log")
	if err != nil {
		t.Fatal(err)
	}
	second.Retire()
	for name, c := range map[string]struct {
		log, json  []byte
		want, said string
	}{
		"the first line":     {append(make([]byte, 15), whole[15:]...), nil, `{"a":"1","c":"3"}`, ".log\" is damaged: 15 bytes"},
		"zeros":              {make([]byte, len(whole)), json, `{"a":"1","b":"2"}`, "restored 2 pairs"},
		"zeros, and no JSON": {make([]byte, len(whole)), nil, `{}`, "restored 0 pairs"},
		"both": {bytes.Repeat([]byte{0xff}, 600), []byte(`{"a":"1","b":`), `{"a":"1"}`,
			file + `" is damaged too: state is not a JSON object: it ends early; saved as "` + file + `.damaged"`},
		// What is left is b's deletion and c. Of a clear that the log still knows the JSON file is the later one.
		"all but the end":   {append(make([]byte, 15), whole[bytes.LastIndex(whole, []byte("b"))-30:]...), json, `{"a":"1","c":"3"}`, "restored 2 pairs"},
		"what came between": {bytes.Replace(whole, []byte("a"), []byte("A"), 1), json, `{"a":"1","c":"3"}`, "restored 2 pairs"},
	} {
		os.Remove(file)
		if c.json != nil {
			os.WriteFile(file, c.json, 0o600)
		}
		if err := os.WriteFile(file+".log", c.log, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := load(t, text, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		log := &lines{}
		p.Log = log
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := call(p, "GET one"); got != c.want {
			t.Errorf("%s: restored %s, not %s", name, got, c.want)
		}
		if said := strings.Join(log.text, "\n"); !strings.Contains(said, "error: state log") || !strings.Contains(said, c.said) {
			t.Errorf("%s: the log says %q", name, said)
		}
		if kept, _ := os.ReadFile(file + ".log.damaged"); !bytes.Equal(kept, c.log) {
			t.Errorf("%s: the damaged log is not kept", name)
		}
		if kept, _ := os.ReadFile(file + ".damaged"); strings.Contains(c.said, "damaged too") && !bytes.Equal(kept, c.json) {
			t.Errorf("%s: the damaged JSON file is not kept", name)
		}
		p.Retire()
		if got := call(start(t, text, nil), "GET one"); got != c.want {
			t.Errorf("%s: then restored %s", name, got)
		}
		os.Remove(file + ".log")
	}
}

// The log is gone or empty, and the JSON file damaged: the node starts all the same. A mistake of whoever wrote the
// file by hand stops it.
func TestADamagedJSONFileIsNoReasonNotToStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "one.keyval")
	text := "keyval_zone zone=one:32k state=" + file + ";"
	for json, want := range map[string]string{
		`{"a":"1","b":"2`:             `{"a":"1"}`,
		`{"a":"1",`:                   `{"a":"1"}`,
		`{"a":"1","b"` + "\x00\x00":   `{"a":"1"}`,
		"\x00\x00\x00":                `{}`,
		"\xff\xfe\x12":                `{}`,
		`{"a":1}`:                     `state of key "a": the value is neither a string nor {"value":"…","expire":milliseconds}`,
		`["a"]`:                       "state is not a JSON object",
		`{"a":"1" "b":"2"}`:           "state is not a JSON object",
		"user www-data;\nworker_p 1;": "state is not a JSON object",
	} {
		os.Remove(file + ".log")
		os.Remove(file + ".damaged")
		if err := os.WriteFile(file, []byte(json), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := load(t, text, nil)
		if !strings.HasPrefix(want, "{") {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: got %v, want %s", json, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", json, err)
			continue
		}
		log := &lines{}
		p.Log = log
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := call(p, "GET one"); got != want {
			t.Errorf("%q: restored %s, not %s", json, got, want)
		}
		if said := strings.Join(log.text, "\n"); !strings.Contains(said, `error: state file "`+file+`" is damaged`) {
			t.Errorf("%q: the log says %q", json, said)
		}
		if kept, _ := os.ReadFile(file + ".damaged"); string(kept) != json {
			t.Errorf("%q: kept is %q", json, kept)
		}
		p.Retire()
	}
}

// A file that is no log of ours stays as it is: the name may be wrong.
func TestAnotherProgramsLogIsNotTaken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access")
	theirs := "192.0.2.1 - - [28/Nov/2026] \"GET / HTTP/1.1\" 200\n"
	if err := os.WriteFile(file+".log", []byte(theirs), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := load(t, "keyval_zone zone=one:32k state="+file+";", nil)
	if err == nil || !strings.Contains(err.Error(), file+".log: file is not a starling log") {
		t.Errorf("got %v", err)
	}
	if kept, _ := os.ReadFile(file + ".log"); string(kept) != theirs {
		t.Errorf("it is now %q", kept)
	}
}
