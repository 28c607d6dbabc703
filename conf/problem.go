package conf

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"starling/lib/masked"
	"starling/nginx/errno"
)

// CommandLine is the Node.File and Problem.File of directives given with -g.
const CommandLine = "command line"

// Problem is one error in the configuration, with its location.
type Problem struct {
	What string
	File string // empty: no location; CommandLine: no line
	Line int
	Kind Kind
	// Name is what is wrong, not supported or unknown: a directive, a parameter, or a variable with its dollar.
	Name string
	// Instead says what to do about it, if Instead(Name) does not fit.
	Instead string

	early bool // an unexpected end of the text; usually a consequence of problems before it
	order int  // position in load order, by which problems are sorted; 0: that of the directive being bound
}

// Kind is what sort of problem it is.
type Kind uint8

// The kinds of problems.
const (
	Wrong        Kind = iota // the configuration is invalid, mostly for nginx too
	NotSupported             // nginx or NGINX Plus would
	UnknownWord              // a name that neither has
	NotHere                  // what this machine lacks: another may have it
)

// Error has nginx's form: the error, " in FILE:LINE". Passwords in URLs are omitted.
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

// At makes a problem at the location of a node, for setters that inspect blocks.
func At(n *Node, format string, args ...any) *Problem {
	return &Problem{
		What: fmt.Sprintf(format, errno.Args(args)...), File: n.File, Line: n.Line, Name: n.Name, order: n.order,
	}
}

// AtEnd makes a problem at the closing brace of a block, where nginx reports missing directives.
func AtEnd(n *Node, format string, args ...any) *Problem {
	return &Problem{
		What: fmt.Sprintf(format, errno.Args(args)...), File: n.File, Line: n.EndLine, Name: n.Name, order: n.endOrder,
	}
}

// Problems are sorted by location in load order; the first is the one that nginx would print. A setter or a check can
// return several at once as one error.
type Problems []*Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Sort orders problems by location, for callers that collect them outside Bind.
func (ps Problems) Sort() {
	sort.SliceStable(ps, func(i, j int) bool { return ps[i].order < ps[j].order })
}

// Verdict is an error that completes the sentence `"x" directive …`, like nginx's own setters: Verdict("is duplicate")
// becomes `"x" directive is duplicate`.
type Verdict string

func (v Verdict) Error() string { return string(v) }

// The verdicts of nginx's generic setters.
const (
	IsDuplicate   Verdict = "is duplicate"
	InvalidValue  Verdict = "invalid value"
	InvalidNumber Verdict = "invalid number"
)

// Unsupported is the error for a parameter that nginx supports and starling does not: Unsupported("service=").
func Unsupported(parameter string) error {
	return NotSupportedf(strings.TrimSuffix(parameter, "="), "parameter \"%s\" is not supported by starling", parameter)
}

// NotSupportedf makes a problem of something that nginx knows by a name and starling does not.
func NotSupportedf(name, format string, args ...any) *Problem {
	return &Problem{What: fmt.Sprintf(format, args...), Kind: NotSupported, Name: name}
}

// Advise adds what to do, where a name alone does not tell that.
func (p *Problem) Advise(instead string) *Problem {
	p.Instead = instead
	return p
}

// ProblemsAt turns the error of a setter, a check or a builder into problems; those without a location get that of n.
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
