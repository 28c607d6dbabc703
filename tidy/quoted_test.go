package tidy

import (
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestQuotedLogLinesExist: each line of a block "log" in docs/troubleshooting.md is one of the source. Between the "..."
// of a line, its words are in one string of the program.
func TestQuotedLogLinesExist(t *testing.T) {
	said := textsOfTheProgram(t)
	page, err := os.ReadFile("../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, block := range regexp.MustCompile("(?ms)^```log\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[1]) {
			lines++
			for _, part := range strings.Split(strings.TrimSpace(line), "...") {
				// A line is made of several strings; what joins them is too short to tell them apart.
				if part = strings.Trim(part, ` :;,."`); len(part) >= 4 && !strings.Contains(said, part) {
					t.Errorf("no string of the program has %q, of the quoted line %q", part, line)
				}
			}
		}
	}
	if lines < 30 {
		t.Errorf("only %d lines are quoted: has the page changed its form?", lines)
	}
}

// textsOfTheProgram are all its strings, one a line, with verbs as "...".
func textsOfTheProgram(t *testing.T) string {
	verb := regexp.MustCompile(`%[-+#\[\]0-9.]*[a-zA-Z]`)
	var all strings.Builder
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			text, is := constant(n)
			if is {
				all.WriteString(verb.ReplaceAllString(strings.ReplaceAll(text, "%q", `"..."`), "...") + "\n")
			}
			return !is
		})
	}
	return all.String()
}

// constant is the value of a string, or of several joined with plus.
func constant(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.BasicLit:
		if n.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(n.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, is := constant(n.X)
		if !is || n.Op != token.ADD {
			return "", false
		}
		right, is := constant(n.Y)
		return left + right, is
	}
	return "", false
}
