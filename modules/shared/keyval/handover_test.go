package keyval

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/lib/durable"
	"starling/lib/testkit"
	"starling/plan"
)

// logHas waits until the log has a text.
func logHas(t *testing.T, path, text string) {
	t.Helper()
	testkit.Eventually(t, time.Minute, func() error {
		log, err := os.ReadFile(path)
		if err == nil && !strings.Contains(string(log), text) {
			err = errors.New("the log has no " + text)
		}
		return err
	})
}

// The log passes from one process to another and back. Writes of the process that does not have it wait until the other
// one has them on disk.
func TestTheLogIsHandedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	p := start(t, "keyval_zone zone=one:1m state="+path+";", nil)
	if got := call(p, `POST one {"a":"early"}`); got != "201" {
		t.Fatal(got)
	}
	files := p.Exclusives()
	if len(files) != 1 {
		t.Fatalf("%d files are handed over", len(files))
	}
	asked, broken := 0, errors.New("gone")
	var answer error
	if err := files[0].Yield(func() error { asked++; return answer }); err != nil {
		t.Fatal(err)
	}
	other, err := durable.Open(path+logSuffix, func([]byte) error { return nil })
	if err != nil {
		t.Fatalf("the log is still locked: %v", err)
	}
	if got := call(p, `POST one {"b":"forwarded"}`); got != "201" || asked != 1 {
		t.Errorf("%s, the other process was asked %d times", got, asked)
	}
	answer = broken
	if got := call(p, `POST one {"c":"lost"}`); !strings.Contains(got, "gone") {
		t.Errorf("a write that the other process does not have: %s", got)
	}
	if err := files[0].Seize(); !errors.Is(err, durable.ErrInUse) {
		t.Errorf("a log that the other process has was taken: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(files[0].Seize(), files[0].Persist()); err != nil {
		t.Fatal(err)
	}
	logHas(t, path+logSuffix, "forwarded") // it came while neither had the log
	if got := call(p, `POST one {"d":"again"}`); got != "201" {
		t.Error(got)
	}
	logHas(t, path+logSuffix, "again")
	p.Retire()
}

// A successor reads the state and leaves the log to its predecessor until it has taken over.
func TestASuccessorDoesNotWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	text := "keyval_zone zone=one:1m state=" + path + ";"
	first := start(t, text, nil)
	if got := call(first, `POST one {"a":"1"}`); got != "201" {
		t.Fatal(got)
	}
	heir, err := load(t, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	heir.Successor = true
	if err := heir.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := call(heir, "GET one"); !strings.Contains(got, `"a":"1"`) {
		t.Errorf("the successor has %s", got)
	}
	if got := call(heir, `POST one {"b":"2"}`); !strings.HasPrefix(got, "500") {
		t.Errorf("a write before it has the log: %s", got)
	}
	persist := func() error { return plan.Part[stores](heir).byPath[path].persistHere() }
	if err := errors.Join(first.Exclusives()[0].Yield(persist), heir.Exclusives()[0].Seize()); err != nil {
		t.Fatal(err)
	}
	first.Retire() // writes nothing
	if got := call(heir, `POST one {"c":"3"}`); got != "201" {
		t.Error(got)
	}
	heir.Retire()
	again := start(t, text, nil)
	defer again.Retire()
	if got := call(again, "GET one"); !strings.Contains(got, `"c":"3"`) {
		t.Errorf("after a restart: %s", got)
	}
}
