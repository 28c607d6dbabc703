package cycle

import (
	"fmt"
	"slices"
	"strings"

	"starling/conf"
	"starling/stream"
	"starling/web"
)

// Findings are all findings about a configuration that do not need its runtime environment: certificates, names in the
// DNS, folders of logs.
type Findings struct {
	Tree     *conf.Tree
	Problems conf.Problems
	Warnings conf.Problems
	// Ignored are the directives that are accepted without effect.
	Ignored []conf.Ignored
}

// Check reads a configuration and finds what of it cannot run. Nothing is opened but its files.
func Check(o Options) (*Findings, error) {
	d, _, err := read(o, nil)
	if d == nil || len(d.Tree.Files) == 0 {
		return nil, err
	}
	found := &Findings{Tree: d.Tree, Warnings: d.Warnings, Ignored: d.Ignored}
	if err == nil {
		found.Problems = d.unknownVariables()
		return found, nil
	}
	problems, ok := err.(conf.Problems)
	if !ok {
		return nil, err
	}
	found.Problems = problems
	return found, nil
}

func (d *Draft) unknownVariables() conf.Problems {
	problems := slices.Concat(web.Side.Unknown(d.plan), stream.Side.Unknown(d.plan))
	problems.Sort()
	return problems
}

// problems are all problems of a parsed configuration: those of binding, then undeclared zones. If there are some,
// undeclared variables are reported too; otherwise the build finds them. Missing declarations of a faulty line do not
// count against the other lines.
func (d *Draft) problems(bound conf.Problems) conf.Problems {
	all := slices.Clone(bound)
	whole := d.Tree.Problem == nil && len(d.Tree.Unread) == 0 // otherwise the missing part may be in the rest
	if !whole {
		return append(all, d.unsupportedVariables()...)
	}
	wrong := wordsOf(d.Tree.Nodes, bound)
	for _, z := range d.plan.Zones.Undeclared() {
		declares := func(word string) bool { return strings.Contains("="+word+":", "="+z.Name+":") }
		if !slices.ContainsFunc(wrong, declares) {
			all = append(all, &conf.Problem{
				What: fmt.Sprintf("zero size shared memory zone \"%s\"", z.Name),
				File: z.File, Line: z.Line, Name: z.Name,
			})
		}
	}
	if len(d.top.All("events")) == 0 {
		all = append(all, &conf.Problem{What: "no \"events\" section in configuration", File: d.Tree.Path, Line: 1})
	}
	if len(all) == 0 {
		return nil
	}
	for _, p := range d.unknownVariables() {
		if p.Kind == conf.NotSupported || !slices.Contains(wrong, p.Name) {
			all = append(all, p)
		}
	}
	return all
}

func (d *Draft) unsupportedVariables() (problems conf.Problems) {
	for _, p := range d.unknownVariables() {
		if p.Kind == conf.NotSupported {
			problems = append(problems, p)
		}
	}
	return problems
}

// HoldsDirectives reports whether the block of that name holds directives, which are read even if its own line is
// wrong. Lines of other blocks, as of map, are data.
func HoldsDirectives(name string) bool {
	switch name {
	case "events", "http", "server", "location", "if", "limit_except", "upstream", "stream":
		return true
	}
	return false
}

// wordsOf are the words of all directives in which there are problems, those of their blocks included, with the names
// of lines in these.
func wordsOf(nodes []*conf.Node, problems conf.Problems) (words []string) {
	type place struct {
		file string
		line int
	}
	places := map[place]bool{}
	for _, p := range problems {
		places[place{p.File, p.Line}] = true
	}
	var walk func(nodes []*conf.Node, inside bool)
	walk = func(nodes []*conf.Node, inside bool) {
		for _, n := range nodes {
			wrong := inside || places[place{n.File, n.Line}]
			if wrong {
				words = append(append(words, n.Name), n.Words...)
			}
			walk(n.Block, wrong && !HoldsDirectives(n.Name))
		}
	}
	walk(nodes, false)
	return words
}
