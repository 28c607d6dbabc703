package keyval

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"starling/admin"
	"starling/conf"
	"starling/lib/clock"
	"starling/lib/durable"
	"starling/plan"
	"starling/zone/kinds"
)

// load makes the zones of a configuration that has only keyval_zone lines, after another one if old is given.
func load(t *testing.T, text string, old *plan.Plan) (*plan.Plan, error) {
	t.Helper()
	module := conf.Module{Name: "keyval", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}], Directives: []conf.Directive{
		zoneDirective("http", conf.Main),
	}}
	binder, err := conf.NewBinder([]*conf.Module{&module})
	if err != nil {
		t.Fatal(err)
	}
	p := plan.New()
	p.Old = old
	if old != nil {
		p.Clock = old.Clock
	}
	tree, err := conf.Parse(fstest.MapFS{"c": {Data: []byte(text)}}, "/c")
	if err != nil {
		t.Fatal(err)
	}
	if err := binder.Bind(tree, p).Err(); err != nil {
		return nil, err
	}
	if errs := append(p.Link(), p.Load()...); len(errs) > 0 {
		return nil, errs[0]
	}
	return p, nil
}

func started(t *testing.T, text string, old *plan.Plan) (*plan.Plan, error) {
	t.Helper()
	p, err := load(t, text, old)
	if err == nil {
		err = p.Start(t.Context())
	}
	return p, err
}

func start(t *testing.T, text string, old *plan.Plan) *plan.Plan {
	t.Helper()
	p, err := started(t, text, old)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// call is one API call in a line ("POST one {…}"), and its answer in another.
func call(p *plan.Plan, line string) string {
	method, rest, _ := strings.Cut(line, " ")
	path, body, _ := strings.Cut(rest, " ")
	path, query, _ := strings.Cut(path, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return err.Error()
	}
	c := &admin.Call{Method: method, Version: 9, Query: values, Body: []byte(body)}
	if path != "" {
		c.Tail = strings.Split(path, "/")
	}
	a := Resources(p, "http")[0].Handle(c)
	if a.Err != nil {
		return fmt.Sprint(a.Err.Status, " ", a.Err.Code, " ", a.Err.Text)
	}
	if a.Stream != nil {
		var out strings.Builder
		if err := a.Stream(&out); err != nil {
			return err.Error()
		}
		return out.String()
	}
	if a.Body == nil {
		return fmt.Sprint(a.Status)
	}
	text, err := json.Marshal(a.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func TestAPI(t *testing.T) {
	p := start(t, "keyval_zone zone=one:32k timeout=1h; keyval_zone zone=two:32k; keyval_zone zone=ip:32k type=ip;", nil)
	for _, step := range []struct{ call, want string }{
		{"GET ", `{"ip":{},"one":{},"two":{}}`},
		{"GET ?fields=", `["one","two","ip"]`},
		{"GET one", `{}`},
		{"GET three", `404 KeyvalNotFound keyval not found`},
		{"GET one/x", `404 PathNotFound path not found`},
		{"POST one {\"a\":\"1\",\"b\":2,\"c\":{\"value\":\"3\",\"expire\":60000}}", `201`},
		{"GET one", `{"a":"1","b":"2","c":"3"}`},
		{"GET one?key=b", `{"b":"2"}`},
		{"GET one?key=d", `404 KeyvalKeyNotFound key "d" not found`},
		{"POST one {\"a\":\"x\"}", `409 KeyvalKeyExists key "a" already exists`},
		{"POST one {\"x\":\"1\",\"y\":\"2\"}", `400 KeyvalFormatError only one key can be added`},
		{"POST one {\"d\":\"4\"}", `201`},
		{"POST two {\"d\":{\"value\":\"4\",\"expire\":1000}}", `400 KeyvalFormatError keyval timeout is not enabled`},
		{"POST one {", `415 JsonError json error`},
		{"POST one ", `415 JsonError json error`},
		{"POST one {\"x\":\"\xff\"}", `415 JsonError json error`},
		{`POST one {"x":"\ud800"}`, `415 JsonError json error`},
		{`POST one {"x\uDFFF":"1"}`, `415 JsonError json error`},
		{`POST one {"x":"\ud800\ud800"}`, `415 JsonError json error`},
		{`POST one {"x":"\ud800\\udc00"}`, `415 JsonError json error`},
		{`POST one {"x":"\\ud800\u0041\uD83D\uDE00"}`, `201`},
		{`PATCH one {"x":null}`, `204`},
		{"POST one []", `400 KeyvalFormatError invalid JSON`},
		{"POST one {}", `400 KeyvalFormatError key required`},
		{"POST one {\"x\":null}", `400 KeyvalFormatError value of key "x" required`},
		{"POST one {\"x\":true}", `400 KeyvalFormatError invalid value of key "x"`},
		{"POST one {\"x\":\"1\",\"x\":\"2\"}", `400 KeyvalFormatError duplicate key "x"`},
		{"POST one {\"x\":{\"expire\":1}}", `400 KeyvalFormatError value of key "x" required`},
		{"POST one {\"x\":{\"value\":\"1\",\"expire\":-1}}", `400 KeyvalFormatError invalid expire of key "x"`},
		{"POST one {\"x\":{\"value\":\"1\",\"expire\":1.5}}", `400 KeyvalFormatError invalid expire of key "x"`},
		{"POST one {\"x\":{\"value\":\"1\",\"ttl\":1}}", `400 KeyvalFormatError unknown parameter "ttl"`},
		{"POST ip {\"nowhere\":\"1\"}", `400 KeyvalFormatError invalid key format: key "nowhere": invalid key`},
		{"POST ip {\"10.0.0.0/8\":\"1\",\"nowhere\":\"1\"}", `400 KeyvalFormatError invalid key format: key "nowhere": invalid key`},
		{"GET ip", `{}`},
		{"PATCH one {\"a\":\"11\"}", `204`},
		{"PATCH one {\"z\":\"1\"}", `404 KeyvalKeyNotFound key "z" not found`},
		{"PATCH one {\"z\":null}", `404 KeyvalKeyNotFound key "z" not found`},
		{"PATCH one {\"a\":\"1\",\"b\":\"2\"}", `400 KeyvalFormatError only one key can be updated`},
		{"PATCH one {\"b\":null}", `204`},
		{"GET one", `{"a":"11","c":"3","d":"4"}`},
		{"PUT one {}", `405 MethodNotAllowed method not allowed`},
		{"DELETE ", `405 MethodNotAllowed method not allowed`},
		{"DELETE one", `204`},
		{"GET ", `{"ip":{},"one":{},"two":{}}`},
	} {
		if got := call(p, step.call); got != step.want {
			t.Errorf("%s\n got %s\nwant %s", step.call, got, step.want)
		}
	}
}

func TestAFullZoneSaysSo(t *testing.T) {
	p := start(t, "keyval_zone zone=one:32k;", nil)
	if got := call(p, `POST one {"big":"`+strings.Repeat("x", 40<<10)+`"}`); !strings.HasPrefix(got, "400 KeyvalOutOfMemory") {
		t.Errorf("got %s", got)
	}
	if got := call(p, "GET one"); got != "{}" {
		t.Errorf("something stays: %s", got)
	}
}

func TestState(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "one.keyval")
	text := "keyval_zone zone=one:32k timeout=1h state=" + file + ";"
	if err := os.WriteFile(file, []byte(`{"a":"1","b":{"value":"2","expire":60000}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	first := start(t, text, nil)
	if got := call(first, "GET one"); got != `{"a":"1","b":"2"}` {
		t.Errorf("from the JSON file: %s", got)
	}
	call(first, `PATCH one {"b":null}`)
	call(first, `POST one {"c":"3"}`)

	// Nothing of first is closed: what is on disk is what a crash leaves.
	for _, name := range []string{file, file + ".log"} {
		left, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(strings.Replace(name, "one.", "two.", 1), left, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := started(t, text, nil); err == nil || !strings.Contains(err.Error(), "log is in use by another process") ||
		!strings.HasSuffix(err.Error(), "in /c:1") {
		t.Errorf("a second process starts: %v", err)
	}
	file = strings.Replace(file, "one.", "two.", 1)
	text = strings.Replace(text, "one.keyval", "two.keyval", 1)
	crashed := start(t, text, nil)
	if got := call(crashed, "GET one"); got != `{"a":"1","c":"3"}` {
		t.Errorf("from the log: %s", got)
	}

	reloaded := start(t, text, crashed)
	crashed.Retire()
	call(reloaded, `POST one {"d":"4"}`)
	resized := start(t, strings.Replace(text, "32k", "64k", 1), reloaded)
	call(reloaded, `POST one {"e":"5"}`) // a request that the retiring configuration still serves
	call(resized, `POST one {"f":"6"}`)
	reloaded.Retire()
	if got := call(resized, "GET one"); got != `{"a":"1","c":"3","d":"4","e":"5","f":"6"}` {
		t.Errorf("after a change of size: %s", got)
	}
	resized.Retire()
	saved, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var pairs map[string]any
	if err := json.Unmarshal(saved, &pairs); err != nil || len(pairs) != 5 {
		t.Errorf("the JSON file holds %s (%v)", saved, err)
	}
	if got := call(start(t, text, nil), "GET one"); got != `{"a":"1","c":"3","d":"4","e":"5","f":"6"}` {
		t.Errorf("after the end: %s", got)
	}
}

// The time of the cluster is not this machine's. What is on disk ends by the machine's, which is all that the next
// process has at its start; and the log knows how the clock was set while it was written.
func TestStateEndsByTheMachinesClock(t *testing.T) {
	file := filepath.Join(t.TempDir(), "one.keyval")
	text := "keyval_zone zone=one:32k timeout=1h state=" + file + ";"
	for _, aheadMS := range []int64{-7_200_000, 7_200_000} {
		first := start(t, text, nil)
		first.Clock.Follow(aheadMS)
		if got := call(first, `POST one {"c":{"value":"3","expire":60000}}`); got != "201" {
			t.Fatal(got)
		}
		first.Retire()
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		told := false
		if _, err := durable.ReadFile(file+".log", func(record []byte) error {
			told = told || record[0] == kinds.ClockRecord(clock.Reading{})[0]
			return nil
		}); err != nil || !told {
			t.Errorf("the log does not say how the machine's clock is set (%v)", err)
		}
		start(t, text, nil).Retire()
		var pairs map[string]struct{ Expire int64 }
		saved, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(saved, &pairs); err != nil || pairs["c"].Expire <= 0 || pairs["c"].Expire > 60_000 {
			t.Errorf("with a cluster %d ms ahead: %s (%v)", aheadMS, saved, err)
		}
		if err := os.Remove(file + ".log"); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBadStateIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "one.keyval")
	if err := os.WriteFile(file, []byte(`{"a":}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := load(t, "keyval_zone zone=one:32k state="+file+";", nil)
	if err == nil || !strings.Contains(err.Error(), `state file "`+file+`"`) || !strings.HasSuffix(err.Error(), "in /c:1") {
		t.Errorf("got %v", err)
	}
}

func TestStateWithoutAFolder(t *testing.T) {
	_, err := load(t, "keyval_zone zone=one:32k state=/nowhere/s;", nil)
	if want := `stat() "/nowhere" failed (2: No such file or directory) in /c:1`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAStateFileServesOneZone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s")
	_, err := load(t, "keyval_zone zone=one:32k state="+file+"; keyval_zone zone=two:32k state="+file+";", nil)
	if err == nil || !strings.Contains(err.Error(), `state file "`+file+`" is used by another zone`) {
		t.Errorf("got %v", err)
	}
}

// A start that fails elsewhere must not close what the running configuration writes to.
func TestAFailedStartLeavesTheStateAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "one.keyval")
	text := "keyval_zone zone=one:32k state=" + file + ";"
	running := start(t, text, nil)
	next, err := load(t, text, running)
	if err != nil {
		t.Fatal(err)
	}
	next.OnStart(func(context.Context) error { return nil })
	next.Retire()
	if got := call(running, `POST one {"a":"1"}`); got != "201" {
		t.Errorf("got %s", got)
	}
}

func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"a":{"value":"1","expire":5},"b":null,"c":1e9}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		changes, problem := parseBody(body)
		if (changes == nil) == (problem == nil) {
			t.Fatalf("%q gives %v and %v", body, changes, problem)
		}
	})
}

// TestAStateThatIsNoFileIsAnError has nobody at the other end of a pipe: reading it would not end.
func TestAStateThatIsNoFileIsAnError(t *testing.T) {
	for _, suffix := range []string{"", ".log"} {
		file := filepath.Join(t.TempDir(), "one.keyval")
		if err := syscall.Mkfifo(file+suffix, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := load(t, "keyval_zone zone=one:32k state="+file+";", nil)
		if err == nil || !strings.Contains(err.Error(), "not a regular file: named pipe") || !strings.HasSuffix(err.Error(), "in /c:1") {
			t.Errorf("got %v", err)
		}
	}
}
