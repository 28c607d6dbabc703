package keyval

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/lib/clock"
	"starling/lib/durable"
	"starling/lib/testkit"
	"starling/plan"
	"starling/zone/kinds"
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

// successor is another process, which has read the state and leaves the log to the first one.
func successor(t *testing.T, text string) *plan.Plan {
	t.Helper()
	p, err := load(t, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Successor = true
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// A successor reads the state and leaves the log to its predecessor until it has taken over.
func TestASuccessorDoesNotWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	text := "keyval_zone zone=one:1m state=" + path + ";"
	first := start(t, text, nil)
	if got := call(first, `POST one {"a":"1"}`); got != "201" {
		t.Fatal(got)
	}
	heir := successor(t, text)
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

// heirOf is another process that has taken over from one, as far as the files are concerned: their zones are not linked.
func heirOf(t *testing.T, first *plan.Plan, text string) *plan.Plan {
	t.Helper()
	heir := successor(t, text)
	dies(t, first)
	if err := heir.Exclusives()[0].Seize(); err != nil {
		t.Fatal(err)
	}
	return heir
}

// dies releases the files as the end of a process does: nothing is sent to the other one.
func dies(t *testing.T, p *plan.Plan) {
	t.Helper()
	if err := p.Exclusives()[0].Yield(func() error { return errors.New("gone") }); err != nil {
		t.Fatal(err)
	}
}

// What a process wrote to the log and could not send before it was killed is there in the process that takes the log
// back, at once, and stays in the log. The same goes for a zone whose sharing differs between the two configurations.
func TestWritesOfAKilledProcessAreMerged(t *testing.T) {
	for _, rewritten := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "a")
		text := "keyval_zone zone=one:1m state=" + path + ";"
		first := start(t, text, nil)
		if got := call(first, `POST one {"a":"before","b":"before","c":"before"}`); got != "201" {
			t.Fatal(got)
		}
		heir := heirOf(t, first, text)
		if rewritten {
			if err := heir.Exclusives()[0].Persist(); err != nil {
				t.Fatal(err)
			}
		}
		for _, change := range []string{`{"a":"new"}`, `{"b":null}`} {
			if got := call(heir, "PATCH one "+change); got != "204" {
				t.Fatal(got)
			}
		}
		dies(t, heir)
		if err := first.Exclusives()[0].Seize(); err != nil {
			t.Fatal(err)
		}
		if got := call(first, "GET one"); got != `{"a":"new","c":"before"}` {
			t.Errorf("rewritten: %v: the process that goes on has %s", rewritten, got)
		}
		if err := first.Exclusives()[0].Persist(); err != nil {
			t.Fatal(err)
		}
		first.Retire()
		again := start(t, text, nil)
		if got := call(again, "GET one"); got != `{"a":"new","c":"before"}` {
			t.Errorf("rewritten: %v: after a restart: %s", rewritten, got)
		}
		again.Retire()
	}
}

// What the old process wrote after the new one had read the state is there when the new one takes over.
func TestWritesWhileTheNewProcessStartsAreMerged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	text := "keyval_zone zone=one:1m state=" + path + ";"
	first := start(t, text, nil)
	if got := call(first, `POST one {"a":"before","b":"before"}`); got != "201" {
		t.Fatal(got)
	}
	heir := successor(t, text)
	if got := call(first, `PATCH one {"a":"late"}`) + call(first, `PATCH one {"b":null}`); got != "204204" {
		t.Fatal(got)
	}
	dies(t, first)
	if err := heir.Exclusives()[0].Seize(); err != nil {
		t.Fatal(err)
	}
	if got := call(heir, "GET one"); got != `{"a":"late"}` {
		t.Errorf("the new process has %s", got)
	}
	heir.Retire()
}

// The ends of records that a process reads when it takes over are on the clock that the log tells further above, where it
// has read before.
func TestEndsOfRecordsOnAnotherClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	now := clock.Real().Now()
	now.MonoMS += 600_000 // the machine's clock was set back since the process started
	var records [][]byte
	zone := kinds.NewKeyval(kinds.KeyvalConfig{Bytes: 1 << 20, TimeoutMS: 3_600_000})
	zone.OnCommit(func(record []byte) (func() error, error) {
		records = append(records, slices.Clone(record))
		return func() error { return nil }, nil
	}, func([]byte) {})
	write := func(log *durable.Log, key string) {
		t.Helper()
		if err := errors.Join(zone.Set([]byte(key), []byte("v"), kinds.NoExpire, now), log.Append(records[len(records)-1])()); err != nil {
			t.Fatal(err)
		}
	}
	log, err := durable.Open(path+logSuffix, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	log.Append(kinds.ClockRecord(now))
	write(log, "early")
	heir := successor(t, "keyval_zone zone=one:1m timeout=1h state="+path+";")
	write(log, "late")
	if err := errors.Join(log.Close(), heir.Exclusives()[0].Seize()); err != nil {
		t.Fatal(err)
	}
	found := 0
	for pair := range zoneOf(heir).All(heir.Clock.Now()) {
		if found++; pair.LeftMS > 3_601_000 || pair.LeftMS < 3_000_000 {
			t.Errorf("%s ends in %d ms, want an hour", pair.Key, pair.LeftMS)
		}
	}
	if found != 2 {
		t.Errorf("%d pairs, want 2", found)
	}
	heir.Retire()
}

// A record that this release cannot read does not keep the process from serving; the log is kept.
func TestALogOfAnotherReleaseIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	text := "keyval_zone zone=one:1m state=" + path + ";"
	first, err := load(t, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	told := new(lines)
	first.Log = told
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	dies(t, first)
	log, err := durable.Open(path+logSuffix, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(log.Append([]byte("\xffof another release"))(), log.Close()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.Exclusives()[0].Seize(), first.Exclusives()[0].Persist()); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(told.text, "\n"); !strings.Contains(text, "cannot read 1 record of the other process") {
		t.Errorf("logged: %q", text)
	}
	logHas(t, path+logSuffix+durable.DamagedPostfix, "of another release")
	if got := call(first, `POST one {"a":"1"}`); got != "201" {
		t.Error(got)
	}
	first.Retire()
}
