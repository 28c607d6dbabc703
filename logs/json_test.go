package logs_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/logs"
)

// jsonLine writes one line to a log of JSON and to one of text and returns both.
func jsonLine(t *testing.T, write func(logs.Logger)) (fields map[string]any, text string) {
	t.Helper()
	dir := t.TempDir()
	asJSON, asText := filepath.Join(dir, "json"), filepath.Join(dir, "text")
	open := logs.NewFiles("test").Logs()
	log, err := open.ErrorLog([]logs.Target{{Path: asJSON, Level: logs.Warn, JSON: true}, {Path: asText, Level: logs.Info}})
	if err != nil {
		t.Fatal(err)
	}
	write(log)
	open.Close()
	line, err := os.ReadFile(asJSON)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(line), "\n") != 1 {
		t.Fatalf("not one line: %q", line)
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	plain, err := os.ReadFile(asText)
	if err != nil {
		t.Fatal(err)
	}
	return fields, string(plain)
}

func TestErrorLogOfJSON(t *testing.T) {
	fields, text := jsonLine(t, func(log logs.Logger) {
		log.Logf(logs.Info, "this is for the other log")
		context := logs.Context{
			{Name: "client", Label: "udp client", Value: "10.0.0.1"}, {Name: "server", Value: "x"},
			{Name: "request", Value: "GET /\"\xff\x00\n HTTP/1.1", Quoted: true},
			{Name: "bytes_from_to_client", Label: "bytes from/to client", Value: "1/2", Tight: true},
		}
		log.Logf(logs.Error, "%vno %s: %v%v", logs.About(5, []any{"way", errors.New("it is \"shut\"")}, context)...)
	})
	when, err := time.Parse(time.RFC3339, fields["time"].(string))
	if err != nil || time.Since(when) > time.Hour {
		t.Errorf("time %v, %v", fields["time"], err)
	}
	if got := fields["pid"]; got != float64(os.Getpid()) {
		t.Errorf("pid %v", got)
	}
	for name, want := range map[string]any{
		"level": "error", "connection": 5.0, "message": `no way: it is "shut"`, "client": "10.0.0.1", "server": "x",
		"request": "GET /\"\ufffd\u0000\n HTTP/1.1", "bytes_from_to_client": "1/2",
	} {
		if fields[name] != want {
			t.Errorf("%s is %q, want %q", name, fields[name], want)
		}
	}
	want := `: *5 no way: it is "shut", udp client: 10.0.0.1, server: x, request: "GET /"` + "\xff" + `\x00\x0A HTTP/1.1", bytes from/to client:1/2` + "\n"
	if !strings.HasSuffix(text, want) {
		t.Errorf("text %q, want %q behind", text, want)
	}
	if !strings.Contains(text, "for the other log") {
		t.Errorf("text %q", text)
	}
}

// TestLinesOfJSONAreBounded, and a cut value is still JSON.
func TestLinesOfJSONAreBounded(t *testing.T) {
	long := strings.Repeat("\x01", 100000)
	fields, _ := jsonLine(t, func(log logs.Logger) {
		log.Logf(logs.Error, "%s%v", long, logs.Context{{Name: "request", Value: long}})
	})
	for _, name := range []string{"message", "request"} {
		if got := len(fields[name].(string)); got != 2048 {
			t.Errorf("%s has %d bytes", name, got)
		}
	}
}

// TestLinesOfJSONWithoutAClient have no fields about one.
func TestLinesOfJSONWithoutAClient(t *testing.T) {
	fields, _ := jsonLine(t, func(log logs.Logger) { log.Logf(logs.Warn, "%d%%", 5) })
	if len(fields) != 4 || fields["message"] != "5%" || fields["level"] != "warn" {
		t.Errorf("%v", fields)
	}
}

// spoken counts how often it is formatted.
type spoken int

func (s *spoken) String() string { *s++; return "x" }

// TestALineIsFormattedOnlyForWhatGetsIt: a log of JSON needs no line of text, and the other way round.
func TestALineIsFormattedOnlyForWhatGetsIt(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		targets []logs.Target
		want    spoken
	}{
		"json": {[]logs.Target{{Path: filepath.Join(dir, "a"), Level: logs.Error, JSON: true}}, 1},
		"text": {[]logs.Target{{Path: filepath.Join(dir, "b"), Level: logs.Error}}, 1},
		"both": {[]logs.Target{{Path: filepath.Join(dir, "c"), Level: logs.Error, JSON: true}, {Path: filepath.Join(dir, "d"), Level: logs.Error}}, 2},
		"text is for graver lines": {[]logs.Target{
			{Path: filepath.Join(dir, "e"), Level: logs.Error, JSON: true}, {Path: filepath.Join(dir, "f"), Level: logs.Alert}}, 1},
	} {
		open := logs.NewFiles("test").Logs()
		log, err := open.ErrorLog(c.targets)
		if err != nil {
			t.Fatal(err)
		}
		var said spoken
		log.Logf(logs.Error, "%v", &said)
		open.Close()
		if said != c.want {
			t.Errorf("%s: formatted %d times, want %d", name, said, c.want)
		}
	}
}
