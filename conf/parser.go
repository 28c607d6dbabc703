package conf

import (
	"errors"
	"fmt"
	"io/fs"
)

// Limits of a configuration. They stop a file that includes itself, twice or more each time, and a faulty generated
// file. A thousand virtual servers stay far below them.
const (
	maxBlockDepth   = 128
	maxIncludeDepth = 32
	maxLoads        = 1 << 16   // files read, counting each time
	maxLoadedBytes  = 256 << 20 // of all those files together
)

// Parse reads the main configuration file, a clean absolute path, and its includes from a file system rooted at "/".
// Relative includes start at the directory of the main file. The texts in top (-g) are read first.
//
// The tree is never nil and keeps what was read before the problem. The error, a *Problem, is also in Tree.Problem or
// Tree.Unread, where Bind sorts it among its own.
func Parse(fsys fs.FS, path string, top ...string) (*Tree, error) {
	p := &parser{loader: newLoader(fsys, path), tree: &Tree{Path: path}}
	for _, text := range top {
		if problem := p.text(CommandLine, text, &p.tree.Nodes); problem != nil {
			return p.stop(problem)
		}
	}
	if problem := p.file(path, nil, &p.tree.Nodes); problem != nil {
		return p.stop(problem)
	}
	p.tree.Files = p.loader.files
	if len(p.tree.Unread) > 0 {
		return p.tree, p.tree.Unread[0]
	}
	return p.tree, nil
}

type parser struct {
	loader   *loader
	tree     *Tree
	order    int // of the last node or brace
	blocks   int // open now
	includes int // nested now
}

func (p *parser) stop(problem *Problem) (*Tree, error) {
	p.order++
	problem.order = p.order
	p.tree.Files = p.loader.files
	p.tree.Problem = problem
	return p.tree, problem
}

// file reads one file into a list of nodes; by is the include directive that named it, nil for the main file.
func (p *parser) file(path string, by *Node, into *[]*Node) *Problem {
	text, err := p.loader.load(path)
	if err != nil {
		problem := &Problem{What: err.Error()}
		if by == nil {
			return problem
		}
		problem.File, problem.Line, problem.Name = by.File, by.Line, by.Name
		if errors.Is(err, errTooMuch) {
			return problem
		}
		p.order++
		problem.order = p.order
		p.tree.Unread = append(p.tree.Unread, problem)
		return nil
	}
	return p.text(path, text, into)
}

func (p *parser) text(file, text string, into *[]*Node) *Problem {
	l := newLexer(file, text)
	end, problem := p.block(l, into)
	if problem == nil && end == endBlockDone {
		problem = l.problem("unexpected \"}\"")
	}
	return problem
}

// block reads directives up to the end of the text or a "}".
func (p *parser) block(l *lexer, into *[]*Node) (ending, *Problem) {
	for {
		words, end, problem := l.next()
		if problem != nil || end == endBlockDone || end == endOfText {
			return end, problem
		}
		p.order++
		n := &Node{
			Name:  words[0],
			Words: words[1:],
			File:  l.file,
			Line:  l.line,
			Opens: end == endBlockStart,
			order: p.order,
		}
		switch {
		case n.Opens:
			*into = append(*into, n)
			problem = p.inner(l, n)
		case n.Name == "include" && len(n.Words) == 1:
			problem = p.include(n, into)
		default:
			*into = append(*into, n)
		}
		if problem != nil {
			return 0, problem
		}
	}
}

// inner reads the block of a node.
func (p *parser) inner(l *lexer, n *Node) *Problem {
	if l.file == CommandLine {
		return l.problem("block directives are not supported in -g option")
	}
	if p.blocks++; p.blocks > maxBlockDepth {
		return l.problem(fmt.Sprintf("blocks are nested too deeply, the limit is %d", maxBlockDepth))
	}
	end, problem := p.block(l, &n.Block)
	p.blocks--
	if problem == nil && end == endOfText {
		problem = l.tooEarly("unexpected end of file, expecting \"}\"")
	}
	p.order++
	n.EndLine, n.endOrder = l.line, p.order
	return problem
}

// include reads the files of an include directive into the list that contains it.
func (p *parser) include(n *Node, into *[]*Node) *Problem {
	if p.includes++; p.includes > maxIncludeDepth {
		return At(
			n,
			"includes are nested too deeply, the limit is %d; does \"%s\" include itself?",
			maxIncludeDepth,
			n.File,
		)
	}
	paths, err := p.loader.expand(n.Words[0])
	if err != nil {
		return At(n, "%s", err)
	}
	for _, path := range paths {
		if problem := p.file(path, n, into); problem != nil {
			return problem
		}
	}
	p.includes--
	return nil
}
