package conf

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// Limits of a generated configuration: enough for every context, little enough to read.
const (
	generatedPerLevel = 8
	generatedDepth    = 5
)

// Generator makes random valid configurations from declarations, for tests. What is declared but not
// accepted in the end (a zone that nobody declared) is taken out again.
type Generator struct {
	Binder *Binder
	Rand   *rand.Rand
	// Sample gives texts for a value <name> of a directive; with none, a built-in one by its name is taken.
	Sample func(directive, name string) []string
	// Env makes the environment of one Bind; nil for none.
	Env func() any
}

// samples are values that many directives take, by the names that their syntaxes give them.
var samples = map[string][]string{
	"number": {"1", "5", "100"}, "size": {"32k", "1m"}, "time": {"10s", "1m", "500ms"}, "rate": {"5r/s", "30r/m"},
	"code": {"503", "429"}, "address": {"127.0.0.1:8080"}, "port": {"8080"}, "file": {"/tmp/x"}, "path": {"/x", "/y z"},
	"$variable": {"$v"}, "url": {"http://127.0.0.1:8080"}, "level": {"warn"}, "condition": {"($a = b)"},
}

// Generate returns a configuration that binds without a problem.
func (g *Generator) Generate() string {
	nodes := g.level(Main, 0)
	for {
		text := Print(nodes)
		tree := &Tree{Path: "generated"}
		tree.Problem = (&parser{tree: tree}).text(tree.Path, text, &tree.Nodes)
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

func prune(nodes []*Node, bad map[int]bool) []*Node {
	return slices.DeleteFunc(nodes, func(n *Node) bool {
		n.Block = prune(n.Block, bad)
		return bad[n.Line] || bad[n.EndLine]
	})
}

// level picks directives for one block, each that may not repeat at most once.
func (g *Generator) level(in Context, depth int) []*Node {
	var choice []*declared
	for _, all := range g.Binder.byName {
		for _, d := range all {
			if d.In&in != 0 && (depth < generatedDepth || !d.isBlock()) {
				choice = append(choice, d)
			}
		}
	}
	// The order of a map is not that of a seed.
	slices.SortFunc(choice, func(a, b *declared) int { return strings.Compare(a.Name, b.Name) })
	var nodes []*Node
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
		n := &Node{Name: d.Name, Words: g.words(d), Opens: d.isBlock()}
		if n.Opens && d.opens(in) != Lines {
			n.Block = g.level(d.opens(in), depth+1)
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func (g *Generator) words(d *declared) []string {
	var words []string
	s := d.syntaxes[g.Rand.IntN(len(d.syntaxes))]
	for _, t := range s.terms {
		times := 1
		if t.optional {
			times = g.Rand.IntN(2)
		}
		if t.many {
			times += g.Rand.IntN(3)
		}
		for range times {
			f := t.forms[g.Rand.IntN(len(t.forms))]
			words = append(words, g.word(d, f))
		}
	}
	return words
}

func (g *Generator) word(d *declared, f form) string {
	value := g.value(d.Name, f)
	switch {
	case f.kind == wordForm:
		return f.name
	case f.kind == valueForm:
		return value
	case f.bare && g.Rand.IntN(2) == 0:
		return f.name
	}
	return f.name + "=" + value
}

func (g *Generator) value(directive string, f form) string {
	texts := f.values
	if texts == nil && g.Sample != nil {
		texts = g.Sample(directive, f.name)
	}
	if len(texts) == 0 {
		texts = samples[f.name]
	}
	if len(texts) == 0 {
		return "a"
	}
	return texts[g.Rand.IntN(len(texts))]
}
