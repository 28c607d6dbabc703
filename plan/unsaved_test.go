package plan

import (
	"errors"
	"fmt"
	"testing"

	"starling/conf"
)

// A file is listed as long as it cannot be written, by the configurations that have it.
func TestUnsavedFiles(t *testing.T) {
	folder := t.TempDir()
	one, two := folder+"/one", folder+"/two"
	p := New()
	for _, path := range []string{one, two} {
		if err := p.OwnFile(path, &conf.Node{}); err != nil {
			t.Fatal(err)
		}
	}
	next := New() // a reload that drops the second file
	next.Old = p
	if err := next.OwnFile(one, &conf.Node{}); err != nil {
		t.Fatal(err)
	}
	wants := func(p *Plan, want string) {
		t.Helper()
		got := ""
		for _, f := range p.UnsavedFiles() {
			if f.Since.IsZero() {
				t.Errorf("%s has no time", f.Path)
			}
			got += fmt.Sprintf("%s: %v; ", f.Path[len(folder):], f.Why)
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	wants(New(), "")
	wants(p, "")
	p.Unsaved().Tell(two, errors.New("full"))
	since := p.UnsavedFiles()[0].Since
	p.Unsaved().Tell(two, errors.New("still full"))
	if got := p.UnsavedFiles()[0].Since; !got.Equal(since) {
		t.Errorf("since %v, want %v", got, since)
	}
	next.Unsaved().Tell(one, errors.New("read-only"))
	wants(p, "/one: read-only; /two: still full; ")
	wants(next, "/one: read-only; ")
	p.Unsaved().Tell(one, nil)
	wants(p, "/two: still full; ")
	wants(next, "")
}
