// Package tidy checks the house rules that no compiler checks.
package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// source is one parsed Go file of the repository.
type source struct {
	path   string // relative to the root, with slashes
	folder string // first part of the path; "main" for the root
	test   bool
	file   *ast.File
	lines  []string
}

var fset = token.NewFileSet()

// sources parses every Go file of the repository.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		folder, _, nested := strings.Cut(rel, "/")
		if !nested {
			folder = "main"
		}
		out = append(out, source{rel, folder, strings.HasSuffix(path, "_test.go"), file, strings.Split(string(text), "\n")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// outside are folders that nothing may import and that may import anything.
var outside = map[string]bool{"sim": true, "e2e": true, "bench": true, "tidy": true, "packaging": true, "deploy": true}

// ours returns the folder paths below the module that a file imports.
func (s source) ours() []string {
	var out []string
	for _, spec := range s.file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if rest, ok := strings.CutPrefix(name, "starling/"); ok && err == nil {
			out = append(out, rest)
		}
	}
	return out
}

// TestImportsPointDown holds the source to the picture in ARCHITECTURE.md: a line names the folders of one
// layer before two spaces; folders of one layer do not import each other.
func TestImportsPointDown(t *testing.T) {
	height := layers(t)
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, to := range s.ours() {
			top, _, _ := strings.Cut(to, "/")
			switch {
			case outside[top] && top != s.folder:
				t.Errorf("%s imports %s, which nothing may import", s.path, to)
			case s.folder == top || outside[s.folder]:
			case height[s.folder] == 0 || height[top] == 0:
				t.Errorf("%s -> %s: a folder is missing from ARCHITECTURE.md", s.path, top)
			case height[s.folder] <= height[top]:
				t.Errorf("%s imports %s, which is not below it", s.path, to)
			}
		}
	}
}

// TestFamiliesDoNotKnowEachOther keeps every folder below modules/web and modules/stream apart from its neighbours.
// What the two sides of a family share has the family's name below modules/shared, and knows no family. Tests may use
// the core of their side: without it there is no server to test in.
func TestFamiliesDoNotKnowEachOther(t *testing.T) {
	for _, s := range sources(t) {
		parts := strings.Split(s.path, "/")
		if s.folder != "modules" || len(parts) < 4 {
			continue
		}
		own, shared, core := strings.Join(parts[:3], "/"), "modules/shared/"+parts[2], "modules/"+parts[1]+"/core"
		for _, to := range s.ours() {
			if strings.HasPrefix(to, "modules/") && !strings.HasPrefix(to, own) && to != shared && !(s.test && to == core) {
				t.Errorf("%s imports %s: what two families share belongs in a kit below", s.path, to)
			}
		}
	}
}

// TestKitsDeclareNothing: a directive or variable of the kits web and stream themselves is declared by the core family
// of the side.
func TestKitsDeclareNothing(t *testing.T) {
	for _, s := range sources(t) {
		if folder := path.Dir(s.path); s.test || folder != "web" && folder != "stream" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			kind := literal.Type
			if list, is := kind.(*ast.ArrayType); is {
				kind = list.Elt
			}
			if generic, is := kind.(*ast.IndexExpr); is {
				kind = generic.X
			}
			if name, is := kind.(*ast.SelectorExpr); is && (name.Sel.Name == "Directive" || name.Sel.Name == "Variable") {
				t.Errorf("%s declares a %s: that is for modules/%s/core", fset.Position(n.Pos()), name.Sel.Name, s.folder)
			}
			return true
		})
	}
}

func layers(t *testing.T) map[string]int {
	t.Helper()
	doc, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```layers\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatal("ARCHITECTURE.md has lost its layers block")
	}
	rows := strings.Split(strings.TrimSpace(string(block[1])), "\n")
	height := map[string]int{}
	for i, row := range rows {
		folders, _, _ := strings.Cut(row, "  ")
		for _, f := range strings.Fields(folders) {
			height[f] = len(rows) - i
		}
	}
	return height
}
