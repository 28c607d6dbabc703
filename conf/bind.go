package conf

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
)

// declared is a directive with what the binder derived from it.
type declared struct {
	*Directive
	module   int
	syntaxes []Syntax
	refused  []Syntax
}

// Binder checks and binds trees against the declarations of a list of modules. It is immutable and safe for concurrent
// use.
type Binder struct {
	modules []*Module
	index   map[*Module]int
	areas   []Context // per module: the contexts of its directives
	byName  map[string][]*declared
}

// Bound is a configuration bound to settings. The settings are valid only if there are no problems.
type Bound struct {
	Top      *Scope
	Problems Problems // sorted; the first is the one that nginx would print
	Warnings Problems // sorted
	// Ignored are the accepted directives that have no effect, each with the reason; sorted.
	Ignored []Ignored
}

// Ignored is an accepted directive that has no effect.
type Ignored struct {
	Node *Node
	Why  string
}

// Err returns the first problem, or nil.
func (b *Bound) Err() error {
	if len(b.Problems) == 0 {
		return nil
	}
	return b.Problems[0]
}

// NewBinder compiles the declarations. An error is a mistake in the declarations themselves.
func NewBinder(modules []*Module) (*Binder, error) {
	b := &Binder{
		modules: modules,
		index:   map[*Module]int{},
		areas:   make([]Context, len(modules)),
		byName:  map[string][]*declared{},
	}
	for i, m := range modules {
		if m.New == nil || m.Clone == nil {
			return nil, fmt.Errorf("module %s: New and Clone must be set", m.Name)
		}
		if _, twice := b.index[m]; twice {
			return nil, fmt.Errorf("module %s is listed twice", m.Name)
		}
		b.index[m] = i
		for j := range m.Directives {
			if err := b.declare(i, &m.Directives[j]); err != nil {
				return nil, fmt.Errorf("module %s, directive %s: %w", m.Name, m.Directives[j].Name, err)
			}
		}
	}
	return b, nil
}

func (b *Binder) declare(module int, d *Directive) error {
	syntaxes, err := ParseSyntax(d.Syntax)
	if err != nil {
		return err
	}
	var refused []Syntax
	if d.Refused != "" {
		if refused, err = ParseSyntax(d.Refused); err != nil {
			return err
		}
	}
	if d.In == 0 || d.In >= contextEnd {
		return fmt.Errorf("no context declared")
	}
	if d.Set == nil && !d.IsBlock() {
		return fmt.Errorf("no setter: every accepted directive must have an effect")
	}
	for _, other := range b.byName[d.Name] {
		if other.In&d.In != 0 {
			return fmt.Errorf("declared twice for %s", other.In&d.In)
		}
	}
	b.areas[module] |= d.In
	b.byName[d.Name] = append(b.byName[d.Name], &declared{d, module, syntaxes, refused})
	return nil
}

// Directives lists the declarations by name. A name can have several, each for other contexts.
func (b *Binder) Directives() iter.Seq2[string, []*Directive] {
	return func(yield func(string, []*Directive) bool) {
		for _, name := range slices.Sorted(maps.Keys(b.byName)) {
			var all []*Directive
			for _, d := range b.byName[name] {
				all = append(all, d.Directive)
			}
			if !yield(name, all) {
				return
			}
		}
	}
}

// binding is the state of one Bind.
type binding struct {
	*Binder
	env      any
	problems Problems
	warnings Problems
	ignored  []Ignored
}

// Bind checks and binds a tree; env is passed to setters and checks. The directives of a level are bound in order
// before its blocks are entered with copies of its settings. So inheritance needs no merging, and a directive after a
// block still applies to it, as in nginx.
func (b *Binder) Bind(tree *Tree, env any) *Bound {
	w := &binding{Binder: b, env: env}
	top := &Scope{Name: "main", Node: &Node{Name: "main", File: tree.Path}, In: Main, binder: b, env: env}
	top.settings = make([]any, len(b.modules))
	for i, m := range b.modules {
		top.settings[i] = m.New()
	}
	w.defaults(top)
	w.level(top, tree.Nodes)
	w.problems = append(w.problems, tree.Unread...)
	switch {
	case tree.Problem == nil && len(tree.Unread) > 0: // what a block lacks may stand in what could not be read
	case tree.Problem == nil:
		w.check(top, math.MaxInt)
	case !tree.Problem.early || len(w.problems) == 0:
		w.problems = append(w.problems, tree.Problem)
	}
	w.problems.Sort()
	w.warnings.Sort()
	slices.SortStableFunc(w.ignored, func(a, b Ignored) int { return a.Node.order - b.Node.order })
	return &Bound{Top: top, Problems: w.problems, Warnings: w.warnings, Ignored: w.ignored}
}

// defaults passes the declared defaults to the same setters as the directives of the file.
func (w *binding) defaults(top *Scope) {
	written := map[any]bool{}
	for i, m := range w.modules {
		for j := range m.Directives {
			d := &m.Directives[j]
			if d.Default == "" || d.Set == nil {
				continue
			}
			if err := w.applyDefault(top, i, d, written); err != nil {
				w.problems = append(
					w.problems,
					&Problem{What: fmt.Sprintf("default of \"%s\" in module %s: %s", d.Name, m.Name, err)},
				)
			}
		}
	}
}

func (w *binding) applyDefault(top *Scope, module int, d *Directive, written map[any]bool) error {
	n := &Node{Name: d.Name}
	words, _, problem := newLexer("", d.Default+";").next()
	if problem != nil {
		return problem
	}
	n.Words = words
	a := &Args{Words: words, Node: n, First: true, In: d.In, Scope: top, Env: w.env, binding: w, written: written}
	for _, known := range w.byName[d.Name] {
		if known.Directive != d {
			continue
		}
		if err := w.match(known, a); err != nil {
			return err
		}
	}
	return d.Set(top.settings[module], a)
}

// level binds the directives of one block, then enters the blocks in it.
func (w *binding) level(s *Scope, nodes []*Node) {
	type entry struct {
		inner *Scope
		block []*Node
	}
	var entries []entry
	seen, written := map[string]bool{}, map[any]bool{}
	for _, n := range nodes {
		a := &Args{
			Words:   n.Words,
			Node:    n,
			First:   !seen[n.Name],
			In:      s.In,
			Scope:   s,
			Env:     w.env,
			binding: w,
			written: written,
		}
		d, err := w.find(n, s.In)
		if d != nil && n.Opens && d.OpensBlock(s.In) != Lines {
			a.Inner = &Scope{
				Name:   n.Name,
				Words:  n.Words,
				Node:   n,
				In:     d.OpensBlock(s.In),
				Args:   a,
				Parent: s,
				binder: w.Binder,
				env:    w.env,
			}
			s.Inner = append(s.Inner, a.Inner)
			entries = append(entries, entry{a.Inner, n.Block})
		}
		if err == nil {
			err = w.apply(d, s, a)
			seen[n.Name] = true
		}
		if err == nil {
			continue
		}
		w.problems = append(w.problems, ProblemsAt(n, err)...)
		s.faulty = true
		if a.Inner != nil { // entered anyway, to report the problems inside too
			a.Inner.faulty = true
		}
	}
	for _, e := range entries {
		w.enter(s, e.inner)
		w.level(e.inner, e.block)
	}
}

// enter gives a nested block copies of the enclosing settings.
func (w *binding) enter(outer, inner *Scope) {
	if outer.In != Main { // the blocks of the main level are independent of each other
		inner.faulty = inner.faulty || outer.faulty
	}
	inner.settings = make([]any, len(w.modules))
	for i, m := range w.modules {
		inner.settings[i] = outer.settings[i]
		if w.areas[i]&inner.In == 0 {
			continue // nothing can change them there
		}
		inner.settings[i] = m.Clone(outer.settings[i])
		if m.Enter != nil {
			m.Enter(inner.settings[i], inner.In)
		}
	}
}

// find returns the declaration of a directive in the context of its block. After an error of its shape (block or not)
// it returns nil too, because nothing more can be checked.
func (w *binding) find(n *Node, in Context) (*declared, error) {
	if n.Name == "include" {
		return nil, includeError(n)
	}
	for _, d := range w.byName[n.Name] {
		switch {
		case d.In&in == 0:
			continue
		case d.IsBlock() && !n.Opens:
			return nil, fmt.Errorf("directive \"%s\" has no opening \"{\"", n.Name)
		case !d.IsBlock() && n.Opens:
			return nil, fmt.Errorf("directive \"%s\" is not terminated by \";\"", n.Name)
		}
		return d, nil
	}
	return nil, w.unfound(n, in)
}

// includeError returns the problem of an include that the parser did not follow because it is invalid.
func includeError(n *Node) error {
	if n.Opens {
		return fmt.Errorf("directive \"include\" is not terminated by \";\"")
	}
	return wrongNumber(n.Name)
}

func (w *binding) unfound(n *Node, in Context) error {
	elsewhere := len(w.byName[n.Name]) > 0
	known := knownIn()[n.Name]
	switch {
	case known&in != 0, !elsewhere && known != 0:
		return NotSupportedf(n.Name, "\"%s\" is not supported by starling", n.Name)
	case elsewhere:
		return fmt.Errorf("\"%s\" directive is not allowed here", n.Name)
	}
	if of := thirdParty(n.Name); of != nil {
		return NotSupportedf(n.Name, "\"%s\" of module \"%s\" is not supported by starling", n.Name, of.module)
	}
	return &Problem{What: fmt.Sprintf("unknown directive \"%s\"", n.Name), Kind: UnknownWord, Name: n.Name}
}

// apply checks the arguments in nginx's order (count, duplicate, values) and stores them.
func (w *binding) apply(d *declared, s *Scope, a *Args) error {
	if err := d.checkCount(a.Words); err != nil {
		return err
	}
	if !a.First && !d.Repeat {
		return IsDuplicate
	}
	if err := w.match(d, a); err != nil {
		return err
	}
	if d.OpensBlock(s.In) == Lines {
		for _, line := range a.Node.Block {
			if line.Opens {
				return At(line, "unexpected \"{\"")
			}
		}
	}
	if d.Set == nil {
		return nil
	}
	return d.Set(s.settings[d.module], a)
}

// match fills in the names of the arguments.
func (w *binding) match(d *declared, a *Args) error {
	for _, word := range a.Words {
		if why := d.Rejected[word]; why != "" {
			return fmt.Errorf("invalid parameter \"%s\": %s", word, why)
		}
		for _, p := range d.Unsupported {
			if word == p || strings.HasSuffix(p, "=") && strings.HasPrefix(word, p) {
				return Unsupported(p)
			}
		}
	}
	var err error
	if a.named, err = d.named(d.syntaxes, a.Words); err == nil || d.refused == nil {
		return err
	}
	if _, unknown := d.named(d.refused, a.Words); unknown == nil {
		return NotSupportedf(d.Name, "\"%s\" is not supported by starling",
			strings.Join(append([]string{d.Name}, a.Words...), " "))
	}
	return err
}

// named matches words against the lines of a syntax.
func (d *declared) named(lines []Syntax, words []string) (map[string][]string, error) {
	s, err := d.choose(lines, words)
	if err != nil {
		return nil, err
	}
	return s.match(d.Name, words)
}

// choose returns the line of the syntax whose first word is the one given.
func (d *declared) choose(lines []Syntax, words []string) (*Syntax, error) {
	if len(lines) == 1 {
		return &lines[0], nil
	}
	var open *Syntax
	for i := range lines {
		s := &lines[i]
		if len(s.Terms) == 0 || s.Terms[0].Forms[0].Kind != WordForm {
			if open == nil && s.fits(len(words)) {
				open = s
			}
			continue
		}
		for _, f := range s.Terms[0].Forms {
			if len(words) > 0 && f.Name == words[0] {
				return s, nil
			}
		}
	}
	if open == nil {
		if len(words) == 0 {
			return nil, wrongNumber(d.Name)
		}
		return nil, invalidParameter(words[0])
	}
	return open, nil
}

func (s *Syntax) fits(words int) bool {
	return words >= s.least && (s.most < 0 || words <= s.most)
}

func (d *declared) checkCount(words []string) error {
	if d.OneMore && len(words) > 0 {
		return nil
	}
	fits := func(s Syntax) bool { return s.fits(len(words)) }
	if slices.ContainsFunc(d.syntaxes, fits) || slices.ContainsFunc(d.refused, fits) {
		return nil
	}
	return wrongNumber(d.Name)
}

// check runs the modules' checks on a block and its blocks, unless the block already has a problem. Like nginx, which
// checks at the end of a block of the main level, it sorts the results to that end.
func (w *binding) check(s *Scope, order int) {
	if s.Parent != nil && s.Parent.In == Main {
		order = s.Node.endOrder
	}
	if !s.faulty {
		for i, m := range w.modules {
			if m.Check == nil || w.areas[i]&s.In == 0 {
				continue
			}
			if err := m.Check(s.settings[i], s); err != nil {
				found := ProblemsAt(s.Node, err)
				for _, p := range found {
					p.order = max(p.order, order)
				}
				w.problems = append(w.problems, found...)
			}
		}
	}
	for _, inner := range s.Inner {
		w.check(inner, order)
	}
}
