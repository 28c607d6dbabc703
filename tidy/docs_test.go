package tidy

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"starling/conf"
	"starling/conf/reference"
	"starling/modules"
	"starling/vars"
)

// update writes the generated pages instead of comparing them: go test ./tidy -run Generated -update
var update = flag.Bool("update", false, "write the generated pages of docs/")

// side is one list of families.
type side struct {
	name     string
	families []reference.Family
}

// allFamilies are the declarations of every family, by the side it is on.
func allFamilies(t *testing.T) []side {
	main, http, stream := side{name: "main"}, side{name: "http"}, side{name: "stream"}
	for _, m := range modules.Main() {
		main.families = append(main.families, reference.Family{Module: m})
	}
	texts := docTexts(t)
	for _, m := range modules.Web() {
		http.families = append(http.families, family(&m.Module, m.Variables, texts["web "+m.Name]))
	}
	for _, m := range modules.Stream() {
		stream.families = append(stream.families, family(&m.Module, m.Variables, texts["stream "+m.Name]))
	}
	return []side{main, http, stream}
}

func family[C any](m *conf.Module, variables []vars.Variable[C], text string) reference.Family {
	f := reference.Family{Module: m, Text: text}
	for _, v := range variables {
		f.Variables = append(f.Variables, reference.Variable{Name: v.Name, Doc: v.Doc, Prefix: v.Prefix})
	}
	return f
}

// docTexts are the doc.md pages without their titles, by side and title, which is the name of the family.
func docTexts(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, name := range []string{"web", "stream"} {
		files, err := filepath.Glob("../modules/" + name + "/*/doc.md")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			title, rest, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
			texts[name+" "+title] = rest
		}
	}
	return texts
}

// allModules are all families in one list.
func allModules(t *testing.T) (all []*conf.Module) {
	for _, s := range allFamilies(t) {
		for _, f := range s.families {
			all = append(all, f.Module)
		}
	}
	return all
}

// TestGeneratedPagesAreCurrent compares docs/reference and docs/directives.md with the declarations they come from.
func TestGeneratedPagesAreCurrent(t *testing.T) {
	wanted := map[string]bool{}
	for _, side := range allFamilies(t) {
		for _, f := range side.families {
			name := side.name + "-" + strings.NewReplacer(" ", "_", "/", "_").Replace(f.Module.Name) + ".md"
			page(t, filepath.Join("reference", name), reference.Page(f))
			wanted[name] = true
		}
	}
	page(t, "directives.md", reference.Compatibility(allModules(t)))
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
	if _, err := conf.NewBinder(allModules(t)); err != nil {
		t.Error(err)
	}
}

// TestTheReferenceIsComplete: each parameter and each variable is explained, and each doc.md has its page.
func TestTheReferenceIsComplete(t *testing.T) {
	texts := docTexts(t)
	for _, side := range allFamilies(t) {
		for _, f := range side.families {
			delete(texts, map[string]string{"http": "web", "stream": "stream"}[side.name]+" "+f.Module.Name)
			for _, v := range f.Variables {
				if v.Doc == "" {
					t.Errorf("%s: the variable $%s has no Doc", f.Module.Name, v.Name)
				}
			}
			if f.Module.Name == "ignored" || f.Module.Name == "off" {
				continue // nothing there has an effect
			}
			for i := range f.Module.Directives {
				d := &f.Module.Directives[i]
				names := reference.Parameters(d)
				for _, name := range names {
					if d.Params[name] == "" {
						t.Errorf("%s %s: Params does not explain %s", side.name, d.Name, name)
					}
				}
				for name := range d.Params {
					if !slices.Contains(names, name) {
						t.Errorf("%s %s: Params explains %s, which its Syntax does not have", side.name, d.Name, name)
					}
				}
			}
		}
	}
	for title := range texts {
		t.Errorf("the doc.md of %s has the name of no family as its title", title)
	}
}

// TestVariablesAreExplainedInOneStyle: a sentence without a verb, with literals in backticks; and a variable that http
// and stream both have is explained in the same words.
func TestVariablesAreExplainedInOneStyle(t *testing.T) {
	style := regexp.MustCompile("^(The|A|Always|[0-9]+|`[^`]+`)[ ,.].*\\.$")
	differing := map[string]bool{"status": true} // of a response, of a session
	first := map[string]string{}
	for _, side := range allFamilies(t) {
		for _, f := range side.families {
			for _, v := range f.Variables {
				if !style.MatchString(v.Doc) || strings.Contains(v.Doc, `"`) {
					t.Errorf("%s %s: $%s: %q", side.name, f.Module.Name, v.Name, v.Doc)
				}
				if before, known := first[v.Name]; known && before != v.Doc && !differing[v.Name] {
					t.Errorf("%s %s: $%s is %q, on the other side %q", side.name, f.Module.Name, v.Name, v.Doc, before)
				}
				first[v.Name] = v.Doc
			}
		}
	}
}

// TestEveryFolderIsOnTheMap: ARCHITECTURE.md names each folder with Go files. Families are listed in modules/all.go,
// and the tools of lib say themselves what they are.
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

// TestTablesAreWhole: a blank line inside a Markdown table ends it, and the rows behind it are shown as text.
func TestTablesAreWhole(t *testing.T) {
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(file) != ".md" {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		lines := strings.Split(string(text), "\n")
		for i, line := range lines {
			begins := strings.HasPrefix(line, "|") && (i == 0 || !strings.HasPrefix(lines[i-1], "|"))
			if begins && (i+1 == len(lines) || !strings.HasPrefix(lines[i+1], "|---")) {
				t.Errorf("%s:%d: this row belongs to no table", file, i+1)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
