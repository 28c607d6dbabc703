package tidy

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/conf"
	"starling/modules"
)

// update writes the generated pages instead of comparing them: go test ./tidy -run Generated -update
var update = flag.Bool("update", false, "write the generated pages of docs/")

// allModules are the declarations of every family, with the side it is on.
func allModules() (sides []string, list [][]*conf.Module) {
	var http, stream []*conf.Module
	for _, m := range modules.Web() {
		http = append(http, &m.Module)
	}
	for _, m := range modules.Stream() {
		stream = append(stream, &m.Module)
	}
	return []string{"main", "http", "stream"}, [][]*conf.Module{modules.Main(), http, stream}
}

// TestGeneratedPagesAreCurrent compares docs/reference and docs/directives.md with the declarations they come from.
func TestGeneratedPagesAreCurrent(t *testing.T) {
	sides, lists := allModules()
	var every []*conf.Module
	wanted := map[string]bool{}
	for i, side := range sides {
		for _, m := range lists[i] {
			name := side + "-" + strings.NewReplacer(" ", "_", "/", "_").Replace(m.Name) + ".md"
			page(t, filepath.Join("reference", name), conf.Reference(m))
			wanted[name] = true
		}
		every = append(every, lists[i]...)
	}
	page(t, "directives.md", conf.Compatibility(every))
	files, err := os.ReadDir("../docs/reference")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if wanted[f.Name()] {
			continue
		}
		if *update {
			if err := os.Remove(filepath.Join("../docs/reference", f.Name())); err != nil {
				t.Fatal(err)
			}
		} else {
			t.Errorf("docs/reference/%s describes a family that is no longer there: remove it", f.Name())
		}
	}
}

// page compares or writes one generated page.
func page(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("../docs", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(old, []byte(text)) {
		t.Errorf("docs/%s is not what the declarations say (%v): go test ./tidy -run Generated -update", name, err)
	}
}

// TestDeclarationsHoldTogether: every Syntax compiles, no name is declared twice for one place.
func TestDeclarationsHoldTogether(t *testing.T) {
	_, lists := allModules()
	var every []*conf.Module
	for _, l := range lists {
		every = append(every, l...)
	}
	if _, err := conf.NewBinder(every); err != nil {
		t.Error(err)
	}
}
