package conf

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"starling/lib/masked"
	"starling/nginx/errno"
)

// CommandLine stands in Node.File and Problem.File for directives given with -g.
const CommandLine = "command line"

// Problem is one thing wrong in the configuration, at its place.
type Problem struct {
	What string
	File string // empty: no place; CommandLine: no line
	Line int

	early bool // a text that ended too early; what is wrong before that is the cause more often than not
	order int  // position in load order, by which problems are sorted; 0: that of the directive being bound
}

// Error is in nginx's form: what is wrong, " in FILE:LINE". Passwords in URLs are left out.
func (p *Problem) Error() string {
	what := masked.Passwords(p.What)
	switch p.File {
	case "":
		return what
	case CommandLine:
		return what + " in " + CommandLine
	}
	return fmt.Sprintf("%s in %s:%d", what, p.File, p.Line)
}

// At makes a problem at the place of a node, for setters that look into blocks.
func At(n *Node, format string, args ...any) *Problem {
	return &Problem{What: fmt.Sprintf(format, errno.Args(args)...), File: n.File, Line: n.Line, order: n.order}
}

// AtEnd makes a problem at the closing brace of a block, where nginx says what a block lacks.
func AtEnd(n *Node, format string, args ...any) *Problem {
	return &Problem{What: fmt.Sprintf(format, errno.Args(args)...), File: n.File, Line: n.EndLine, order: n.endOrder}
}

// Problems are sorted by place in load order; the first is the one that nginx would print.
// As an error a setter or a check may return several at once.
type Problems []*Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Sort orders problems by place, for who gathers them beyond Bind.
func (ps Problems) Sort() {
	sort.SliceStable(ps, func(i, j int) bool { return ps[i].order < ps[j].order })
}

// Verdict is an error that completes the sentence `"x" directive …`, as nginx's own setters do:
// Verdict("is duplicate") becomes `"x" directive is duplicate`.
type Verdict string

func (v Verdict) Error() string { return string(v) }

// The verdicts of nginx's generic setters.
const (
	IsDuplicate   Verdict = "is duplicate"
	InvalidValue  Verdict = "invalid value"
	InvalidNumber Verdict = "invalid number"
)

// Unsupported is the error for a parameter that nginx knows and starling does not: Unsupported("service=").
func Unsupported(parameter string) error {
	return fmt.Errorf("parameter \"%s\" is not supported by starling", parameter)
}

// ProblemsAt turns what a setter, a check or a builder returned into problems; those without a place get that of n.
func ProblemsAt(n *Node, err error) Problems {
	var one *Problem
	var many Problems
	var verdict Verdict
	what := errno.Message(err)
	switch {
	case errors.As(err, &many):
	case errors.As(err, &one):
		many = Problems{one}
	case errors.As(err, &verdict):
		what = fmt.Sprintf("\"%s\" directive %s", n.Name, what)
		fallthrough
	default:
		return Problems{At(n, "%s", what)}
	}
	placed := make(Problems, len(many))
	for i, p := range many {
		c := *p
		if c.File == "" {
			c.File, c.Line = n.File, n.Line
		}
		if c.order == 0 {
			c.order = n.order
		}
		placed[i] = &c
	}
	return placed
}
