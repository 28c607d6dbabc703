package keyval_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"starling/admin"
	"starling/plan"
	"starling/web/webtest"
)

// sized is a zone of a size, with more parameters.
func sized(size, more string) string {
	return "keyval_zone zone=one:" + size + " " + more + "; keyval $arg_key $value zone=one; server { location / { say \"[$value]\"; } }"
}

// remove deletes a pair the way the API does.
func remove(t *testing.T, s *webtest.Server, key string) {
	t.Helper()
	a := s.Resource("http/keyvals").Handle(&admin.Call{Method: "PATCH", Version: 9, Tail: []string{"one"}, Body: []byte(`{"` + key + `":null}`)})
	if a.Err != nil {
		t.Fatalf("%s: %v", key, a.Err)
	}
}

// has fails unless a server has these pairs, each with the value "1", or, with a "-", has them not.
func has(t *testing.T, s *webtest.Server, what string, keys ...string) {
	t.Helper()
	for _, key := range keys {
		name, gone := strings.CutPrefix(key, "-")
		if got := s.Get("/?key=" + name); strings.HasSuffix(got, "[1]") == gone {
			t.Errorf("%s: %s: %q", what, key, got)
		}
	}
}

// crashed starts a server with what is on disk now, with nothing closed.
func crashed(t *testing.T, dir, size string) *webtest.Server {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return webtest.Start(t, modules, sized(size, "state="+copied+"/one.keyval"))
}

// TestStateChangesWithReloads: a state file is added, replaced and removed. Writes go to the current one, also those of
// requests of the configuration before, and what was deleted while there was none stays deleted.
func TestStateChangesWithReloads(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	if err := os.WriteFile(second+"/one.keyval", []byte(`{"of-the-file":"1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := webtest.Start(t, modules, sized("32k", ""))
	put(t, s, "one", `{"a":"1"}`)
	with := webtest.Start(t, modules, sized("32k", "state="+first+"/one.keyval"), webtest.After(s))
	put(t, s, "one", `{"late":"1"}`)
	has(t, crashed(t, first, "32k"), "after state was added", "a", "late")

	other := webtest.Start(t, modules, sized("32k", "state="+second+"/one.keyval"), webtest.After(with))
	put(t, with, "one", `{"later":"1"}`)
	has(t, other, "with another state", "a", "late", "later", "of-the-file")
	has(t, crashed(t, second, "32k"), "after a crash with another state", "a", "late", "later", "of-the-file")

	without := webtest.Start(t, modules, sized("32k", ""), webtest.After(other))
	remove(t, without, "a")
	put(t, without, "one", `{"b":"1"}`)
	has(t, without, "without state", "-a", "b", "late")
	back := webtest.Start(t, modules, sized("32k", "state="+first+"/one.keyval"), webtest.After(without))
	has(t, back, "with the first state again", "-a", "b", "late", "later")
	has(t, crashed(t, first, "32k"), "after a crash with the first state", "-a", "b", "late", "later")
}

// TestASmallerZoneKeepsTheNewestPairs: by a reload as by a start, and on disk too.
func TestASmallerZoneKeepsTheNewestPairs(t *testing.T) {
	const pairs = 600
	dir := t.TempDir()
	s := webtest.Start(t, modules, sized("64k", "state="+dir+"/one.keyval"))
	for i := range pairs {
		put(t, s, "one", fmt.Sprintf(`{"key%03d":"1"}`, i))
	}
	warned := func(s *webtest.Server, text string) bool {
		return strings.Contains(strings.Join(s.Log.Lines(), "\n"), text)
	}
	started := crashed(t, dir, "32k")
	if !warned(started, "has more pairs than fit into its 32768 bytes: dropped the ") {
		t.Error("no warning of a state that does not fit")
	}
	has(t, started, "a start with a smaller zone", "-key000", "key599")

	smaller := webtest.Start(t, modules, sized("32k", "state="+dir+"/one.keyval"), webtest.After(s))
	if !warned(smaller, `[warn] zone "one" has 32768 bytes now, too few for all its pairs: dropped the `) {
		t.Error("no warning of dropped pairs")
	}
	for name, s := range map[string]*webtest.Server{"a reload": smaller, "the configuration before": s} {
		has(t, s, name, "-key000", "key599")
	}
	again := crashed(t, dir, "32k")
	if warned(again, "dropped") {
		t.Error("the state on disk does not fit")
	}
	has(t, again, "a crash after the reload", "-key000", "key599")
	larger := webtest.Start(t, modules, sized("64k", "state="+dir+"/one.keyval"), webtest.After(smaller))
	for i := range 100 {
		put(t, larger, "one", fmt.Sprintf(`{"more%03d":"1"}`, i))
	}
	has(t, larger, "a larger zone", "key599", "more099")
}

// TestAFailedReloadLeavesZoneAndState: whatever step fails, the running configuration has its zone and its log.
func TestAFailedReloadLeavesZoneAndState(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	s := webtest.Start(t, modules, sized("64k", "state="+first+"/one.keyval"))
	for i := range 600 {
		put(t, s, "one", fmt.Sprintf(`{"key%03d":"1"}`, i))
	}
	for name, more := range map[string]string{
		"another size and state": "state=" + second + "/one.keyval", "no state": "", "another type": "type=prefix state=" + first + "/one.keyval",
	} {
		failing, broken := webtest.After(s), errors.New("the last step fails")
		_, err := webtest.Load(t, modules, sized("32k", more), func(p *plan.Plan) {
			failing(p)
			p.OnLoad(func() error {
				p.OnStart(func(context.Context) error { return broken })
				return nil
			})
		})
		if !errors.Is(err, broken) {
			t.Fatalf("%s: %v", name, err)
		}
		put(t, s, "one", `{"`+strings.ReplaceAll(name, " ", "-")+`":"1"}`)
		has(t, s, name, "key000", "key599")
		has(t, crashed(t, first, "64k"), "a crash after "+name, "key000", strings.ReplaceAll(name, " ", "-"))
	}
}

// TestAZoneReturnsToItsState: a configuration without the zone comes between, while requests of the first one use it.
func TestAZoneReturnsToItsState(t *testing.T) {
	dir := t.TempDir()
	s := webtest.Start(t, modules, sized("32k", "state="+dir+"/one.keyval"))
	put(t, s, "one", `{"a":"1"}`)
	between := webtest.Start(t, modules, "server { }", webtest.After(s))
	between.Plan.Old = nil // as when it runs
	put(t, s, "one", `{"b":"1"}`)
	back := webtest.Start(t, modules, sized("64k", "state="+dir+"/one.keyval"), webtest.After(between))
	put(t, s, "one", `{"c":"1"}`)
	has(t, back, "a zone that returned", "a", "b", "c")
	has(t, crashed(t, dir, "64k"), "a crash", "a", "b", "c")
}

// TestAnotherTypeIsAnotherZone: a network is not a prefix, so a reload that changes type= begins with an empty zone.
// Requests of the configuration before go on with the other one, and nothing of it gets into the new zone, nor back.
func TestAnotherTypeIsAnotherZone(t *testing.T) {
	s := webtest.Start(t, modules, sized("32k", ""))
	put(t, s, "one", `{"a":"1"}`)
	nets := webtest.Start(t, modules, sized("32k", "type=ip"), webtest.After(s))
	put(t, s, "one", `{"10.9.9.9":"1"}`) // of an old request
	put(t, nets, "one", `{"10.0.0.0/16":"1"}`)
	has(t, nets, "with networks", "10.0.5.5", "-10.9.9.9", "-a")
	has(t, s, "the configuration before", "a", "10.9.9.9", "-10.0.5.5")
	back := webtest.Start(t, modules, sized("32k", ""), webtest.After(nets))
	has(t, back, "with strings again", "-10.0.0.0/16", "-10.0.5.5", "-a")
	put(t, back, "one", `{"10.0.5.5":"1"}`)
	has(t, back, "with strings again", "10.0.5.5")
}

// TestAnotherTypeOfAStateFile: the file belongs to the new zone from then on. An old request that writes gets an error,
// because its pair would not be on disk.
func TestAnotherTypeOfAStateFile(t *testing.T) {
	dir := t.TempDir()
	s := webtest.Start(t, modules, sized("32k", "state="+dir+"/one.keyval"))
	put(t, s, "one", `{"a":"1"}`)
	nets := webtest.Start(t, modules, sized("32k", "type=ip state="+dir+"/nets.keyval"), webtest.After(s))
	put(t, nets, "one", `{"10.0.0.0/16":"1"}`)
	put(t, s, "one", `{"b":"1"}`) // it has its file still
	has(t, crashed(t, dir, "32k"), "a crash", "a", "b", "-10.0.0.0/16")
	same := webtest.Start(t, modules, sized("32k", "state="+dir+"/nets.keyval"), webtest.After(nets))
	a := nets.Resource("http/keyvals").Handle(&admin.Call{Method: "POST", Version: 9, Tail: []string{"one"}, Body: []byte(`{"10.1.0.0/16":"1"}`)})
	const why = `zone "one": a reload has given the state file to another zone, or to one of another type`
	if a.Err == nil || !strings.Contains(a.Err.Error(), why) {
		t.Errorf("a write of an old request to a file that has another zone: %+v", a)
	}
	has(t, same, "with strings again", "-10.1.0.0/16")
}
