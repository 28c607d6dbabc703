package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"starling/nginx/version"
)

// The sizes above which a file or a function is no longer taken in at once.
const (
	fileLinesMax     = 500
	functionLinesMax = 70
)

// The columns above which two files do not fit beside each other; a tab counts as four. Tests get more for the bytes that
// they send and expect.
const (
	lineColumnsMax     = 120
	testLineColumnsMax = 160
)

// TestLinesStayShort. Exempt are lines with a raw string, whose contents cannot be wrapped, and rows of a test's table,
// which are easier to compare on one line each.
func TestLinesStayShort(t *testing.T) {
	for _, s := range sources(t) {
		for _, n := range longLines(s) {
			t.Errorf("%s:%d: line is too long: at most %d columns, %d in tests", s.path, n, lineColumnsMax, testLineColumnsMax)
		}
	}
}

// longLines returns the numbers of the lines that are too long.
func longLines(s source) (numbers []int) {
	most := lineColumnsMax
	if s.test {
		most = testLineColumnsMax
	}
	raw := map[int]bool{}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING && l.Value[0] == '`' {
			for i := fset.Position(l.Pos()).Line; i <= fset.Position(l.End()).Line; i++ {
				raw[i] = true
			}
		}
		return true
	})
	for i, line := range s.lines {
		inner := strings.TrimLeft(line, "\t")
		row := s.test && (strings.HasPrefix(inner, "{") || strings.HasPrefix(inner, `"`))
		if !row && !raw[i+1] && utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")) > most {
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}

// TestLongLinesAreFound tries the rule on lines that break it and lines that are exempt.
func TestLongLinesAreFound(t *testing.T) {
	for _, c := range []struct {
		path, line string
		long       bool
	}{
		{"a.go", "// " + strings.Repeat("x", 117), false},
		{"a.go", "// " + strings.Repeat("x", 118), true},
		{"a.go", "// " + strings.Repeat("ü", 117), false},
		{"a.go", "\t// " + strings.Repeat("x", 114), true},
		{"a.go", "var a = `" + strings.Repeat("x", 118) + "`", false},
		{"a.go", "var a = []string{\n\"" + strings.Repeat("x", 118) + "\",\n}", true},
		{"a_test.go", "// " + strings.Repeat("x", 157), false},
		{"a_test.go", "// " + strings.Repeat("x", 158), true},
		{"a_test.go", "var a = []string{\n\"" + strings.Repeat("x", 158) + "\",\n}", false},
	} {
		text := "package a\n" + c.line + "\n"
		file, err := parser.ParseFile(fset, c.path, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		s := source{path: c.path, test: c.path == "a_test.go", file: file, lines: strings.Split(text, "\n")}
		if got := len(longLines(s)) > 0; got != c.long {
			t.Errorf("%s with %q: long %v, want %v", c.path, c.line, got, c.long)
		}
	}
}

// pure are the layers that hold no socket, start no goroutine, open no file and never ask the time.
var pure = map[string]bool{"cluster": true, "conf": true, "vars": true, "zone": true}

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	for _, s := range sources(t) {
		if n := len(s.lines) - 1; n > fileLinesMax {
			t.Errorf("%s has %d lines, at most %d", s.path, n, fileLinesMax)
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			f, ok := n.(*ast.FuncDecl)
			if !ok {
				return true
			}
			if lines := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1; lines > functionLinesMax {
				t.Errorf("%s: func %s has %d lines, at most %d", fset.Position(f.Pos()), f.Name.Name, lines, functionLinesMax)
			}
			return true
		})
	}
}

// TestPureLayersStayPure looks for what would tie them to a machine. Their tests may do as they like.
func TestPureLayersStayPure(t *testing.T) {
	banned := map[string]bool{`"os"`: true, `"net"`: true, `"net/http"`: true, `"syscall"`: true, `"crypto/tls"`: true, `"math/rand"`: true}
	for _, s := range sources(t) {
		if s.test || !pure[s.folder] || strings.HasSuffix(s.file.Name.Name, "test") {
			continue
		}
		for _, spec := range s.file.Imports {
			if banned[spec.Path.Value] {
				t.Errorf("%s imports %s", s.path, spec.Path.Value)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && asksTheTime[n.Sel.Name] {
					t.Errorf("%s asks the time: time.%s", fset.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

var asksTheTime = map[string]bool{"Now": true, "Since": true, "Until": true, "After": true, "AfterFunc": true,
	"NewTimer": true, "NewTicker": true, "Tick": true, "Sleep": true}

// TestNobodySleepsInTests: virtual time, or waiting for a condition.
func TestNobodySleepsInTests(t *testing.T) {
	for _, s := range sources(t) {
		virtual := false
		for _, spec := range s.file.Imports {
			virtual = virtual || spec.Path.Value == `"testing/synctest"`
		}
		if !s.test || virtual {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
				if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" {
					t.Errorf("%s sleeps", fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
}

// TestThePreviousPlanIsOnlyRead: plan.Part(p.Old) adds to the map of a configuration that serves, which can crash it.
func TestThePreviousPlanIsOnlyRead(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if s.test || !ok || len(call.Args) != 1 {
				return true
			}
			if old, ok := call.Args[0].(*ast.SelectorExpr); !ok || old.Sel.Name != "Old" {
				return true
			}
			generic, ok := call.Fun.(*ast.IndexExpr) // plan.Part[T], groups.Of[C]
			if !ok {
				return true
			}
			name := generic.X
			if sel, ok := name.(*ast.SelectorExpr); ok {
				name = sel.Sel
			}
			if id := name.(*ast.Ident); id.Name == "Part" || id.Name == "Of" {
				t.Errorf("%s uses %s of the previous plan: use plan.Before", fset.Position(n.Pos()), id.Name)
			}
			return true
		})
	}
}

// TestNothingRegistersItself: lists are explicit, so their order can be read and tests can start with a part of them.
func TestNothingRegistersItself(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function", s.path)
			}
		}
	}
}

// TestFoldersSayWhatTheyHold bans names that hold everything.
func TestFoldersSayWhatTheyHold(t *testing.T) {
	vague := regexp.MustCompile(`(^|/)(utils?|common|helpers?|misc)(/|\.go$|_)|_v2`)
	for _, s := range sources(t) {
		if vague.MatchString(s.path) {
			t.Errorf("%s: the name does not say what is in it", s.path)
		}
	}
}

// TestExportedNamesAreExplained asks for a comment on what other packages see.
func TestExportedNamesAreExplained(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.folder == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || receiverExported(d)) && !obvious[d.Name.Name] {
					t.Errorf("%s: %s is exported and not explained", fset.Position(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if ts, ok := spec.(*ast.TypeSpec); ok && d.Tok == token.TYPE && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
						t.Errorf("%s: type %s is exported and not explained", fset.Position(ts.Pos()), ts.Name.Name)
					}
				}
			}
		}
	}
}

// obvious are methods of the standard library's interfaces, whose contract stands there.
var obvious = map[string]bool{"String": true, "Error": true, "Len": true, "Less": true, "Swap": true, "Read": true, "Write": true,
	"Close": true, "Unwrap": true, "LocalAddr": true, "RemoteAddr": true, "SetDeadline": true, "SetReadDeadline": true,
	"SetWriteDeadline": true, "MarshalJSON": true, "UnmarshalJSON": true}

func receiverExported(f *ast.FuncDecl) bool {
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if idx, ok := typ.(*ast.IndexExpr); ok {
		typ = idx.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

// TestIdeasAreWrittenDown: every folder that bears an idea explains it.
func TestIdeasAreWrittenDown(t *testing.T) {
	for _, folder := range []string{"conf", "zone", "cluster", "upstream", "side", "web", "web/h1"} {
		if _, err := os.Stat(filepath.Join("..", folder, "DESIGN.md")); err != nil {
			t.Errorf("%s has no DESIGN.md", folder)
		}
	}
}

// TestNoticeIsCurrent: NOTICE has the licences of exactly what the binary links.
func TestNoticeIsCurrent(t *testing.T) {
	check := exec.Command("go", "run", "./packaging/notice")
	check.Dir = ".."
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestChangelogHasTheVersion: what a binary calls itself is described, first of all.
func TestChangelogHasTheVersion(t *testing.T) {
	text, err := os.ReadFile("../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	first := regexp.MustCompile(`(?m)^## \[(.*)\] - (unreleased|\d{4}-\d\d-\d\d)$`).FindSubmatch(text)
	if first == nil || string(first[1]) != version.Starling {
		t.Errorf("CHANGELOG.md does not begin with \"## [%s] - unreleased\" or its date", version.Starling)
	}
}

// TestModulesHaveTheirRooms: a family is declared, obeyed and shown with an example in files of fixed names.
func TestModulesHaveTheirRooms(t *testing.T) {
	families, err := filepath.Glob("../modules/*/*/directives.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f, "../modules/shared/") {
			continue // each side shows it
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(f), "doc.md")); err != nil {
			t.Errorf("%s has no doc.md", filepath.Dir(f))
		}
	}
}
