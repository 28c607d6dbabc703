// Package generate makes random valid configurations from declarations and prints configurations, for tests.
package generate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing/fstest"

	"starling/conf"
)

// Limits of a generated configuration: enough for every context, little enough to read.
const (
	generatedPerLevel = 8
	generatedDepth    = 5
)

// Generator makes random valid configurations from declarations, for tests. It removes declared directives that are
// rejected later (such as an undeclared zone).
type Generator struct {
	Binder *conf.Binder
	Rand   *rand.Rand
	// Sample returns texts for a value <name> of a directive; without any, a built-in one for that name is used.
	Sample func(directive, name string) []string
	// Env makes the environment of one Bind; nil for none.
	Env func() any
}

// samples are values that many directives accept, by the names in their syntaxes.
var samples = map[string][]string{
	"number": {"1", "5", "100"}, "size": {"32k", "1m"}, "time": {"10s", "1m", "500ms"}, "rate": {"5r/s", "30r/m"},
	"code": {"503", "429"}, "address": {"127.0.0.1:8080"}, "port": {"8080"}, "file": {"/tmp/x"}, "path": {"/x", "/y z"},
	"$variable": {"$v"}, "url": {"http://127.0.0.1:8080"}, "level": {"warn"}, "condition": {"($a = b)"},
}

// Generate returns a configuration that binds without a problem.
func (g *Generator) Generate() string {
	nodes := g.level(conf.Main, 0)
	for {
		text := Print(nodes)
		// The tree contains the error too; Bind finds it there.
		tree, _ := conf.Parse(fstest.MapFS{"generated": {Data: []byte(text)}}, "/generated")
		var env any
		if g.Env != nil {
			env = g.Env()
		}
		bad := map[int]bool{}
		for _, p := range g.Binder.Bind(tree, env).Problems {
			bad[p.Line] = true
		}
		before := len(text)
		nodes = prune(nodes, bad)
		if len(bad) == 0 || len(Print(nodes)) == before {
			return text
		}
	}
}

func prune(nodes []*conf.Node, bad map[int]bool) []*conf.Node {
	return slices.DeleteFunc(nodes, func(n *conf.Node) bool {
		n.Block = prune(n.Block, bad)
		return bad[n.Line] || bad[n.EndLine]
	})
}

// level picks directives for one block, each non-repeatable one at most once.
func (g *Generator) level(in conf.Context, depth int) []*conf.Node {
	var choice []*conf.Directive
	for _, all := range g.Binder.Directives() {
		for _, d := range all {
			if d.In&in != 0 && (depth < generatedDepth || !d.IsBlock()) {
				choice = append(choice, d)
			}
		}
	}
	var nodes []*conf.Node
	used := map[string]bool{}
	for range g.Rand.IntN(generatedPerLevel + 1) {
		if len(choice) == 0 {
			break
		}
		d := choice[g.Rand.IntN(len(choice))]
		if used[d.Name] && !d.Repeat {
			continue
		}
		used[d.Name] = true
		n := &conf.Node{Name: d.Name, Words: g.words(d), Opens: d.IsBlock()}
		if n.Opens && d.OpensBlock(in) != conf.Lines {
			n.Block = g.level(d.OpensBlock(in), depth+1)
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func (g *Generator) words(d *conf.Directive) []string {
	syntaxes, err := conf.ParseSyntax(d.Syntax)
	if err != nil {
		panic(fmt.Sprintf("%s: %v, which NewBinder accepted", d.Name, err))
	}
	var words []string
	s := syntaxes[g.Rand.IntN(len(syntaxes))]
	for _, t := range s.Terms {
		times := 1
		if t.Optional {
			times = g.Rand.IntN(2)
		}
		if t.Many {
			times += g.Rand.IntN(3)
		}
		for range times {
			f := t.Forms[g.Rand.IntN(len(t.Forms))]
			words = append(words, g.word(d, f))
		}
	}
	return words
}

func (g *Generator) word(d *conf.Directive, f conf.Form) string {
	value := g.value(d.Name, f)
	switch {
	case f.Kind == conf.WordForm:
		return f.Name
	case f.Kind == conf.ValueForm:
		return value
	case f.Bare && g.Rand.IntN(2) == 0:
		return f.Name
	}
	return f.Name + "=" + value
}

func (g *Generator) value(directive string, f conf.Form) string {
	texts := f.Values
	if texts == nil && g.Sample != nil {
		texts = g.Sample(directive, f.Name)
	}
	if len(texts) == 0 {
		texts = samples[f.Name]
	}
	if len(texts) == 0 {
		return "a"
	}
	return texts[g.Rand.IntN(len(texts))]
}
