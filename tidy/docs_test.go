package tidy

import (
	"bytes"
	"flag"
	"os"
	"path"
	"path/filepath"
	"regexp"
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
	file := filepath.Join("../docs", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(file)
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

// TestEveryFolderIsOnTheMap: ARCHITECTURE.md names each folder with Go files. Families are listed in modules/all.go, and the tools of lib
// say themselves what they are.
func TestEveryFolderIsOnTheMap(t *testing.T) {
	text, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, word := range regexp.MustCompile("[a-z0-9]+(/[a-z0-9]+)*").FindAllString(string(text), -1) {
		named[word] = true
	}
	for _, s := range sources(t) {
		folder := path.Dir(s.path)
		inside := strings.HasPrefix(folder, "modules/") || strings.HasPrefix(folder, "lib/") || strings.HasPrefix(folder, "nginx/")
		if folder != "." && !inside && !named[folder] {
			named[folder] = true
			t.Errorf("ARCHITECTURE.md does not say what is in %s", folder)
		}
	}
}
