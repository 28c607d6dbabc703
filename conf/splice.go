package conf

import "fmt"

// Splice binds the directives of a text as if they stood in this directive's block, in its place. It is for files that
// the program itself rewrites: only simple directives named only may be in them, not even an include. The problems name
// the file and the line in it.
func (a *Args) Splice(file, text, only string) error {
	l := newLexer(file, text)
	var problems Problems
	for {
		words, end, problem := l.next()
		if problem == nil {
			switch end {
			case endOfText:
				if len(problems) > 0 {
					return problems
				}
				return nil
			case endBlockStart:
				problem = l.problem("unexpected \"{\"")
			case endBlockDone:
				problem = l.problem("unexpected \"}\"")
			}
		}
		if problem != nil { // what follows cannot be told apart
			return append(problems, problem)
		}
		n := &Node{Name: words[0], Words: words[1:], File: file, Line: l.line, order: a.Node.order}
		if err := a.splice(n, only); err != nil {
			problems = append(problems, ProblemsAt(n, err)...)
		}
	}
}

func (a *Args) splice(n *Node, only string) error {
	if n.Name != only {
		return fmt.Errorf("\"%s\" directive is not allowed here", n.Name)
	}
	d, err := a.binding.find(n, a.In)
	if err != nil {
		return err
	}
	return a.binding.apply(d, a.Scope, &Args{
		Words: n.Words, Node: n, In: a.In, Scope: a.Scope, Env: a.Env, binding: a.binding, written: a.written,
	})
}
