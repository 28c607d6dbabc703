// Package vars compiles texts with variables ("$remote_addr:$arg_x") once, so that a request only appends bytes.
//
// A Table serves one side of one configuration. C is the subject whose variables are read: a request of http or a
// session of stream.
package vars

import (
	"fmt"
	"strings"
)

// Variable declares one variable or, with Prefix, a family of them ($http_NAME).
type Variable[C any] struct {
	// Name is the name without the dollar; of a family, the common prefix ("http_").
	Name   string
	Prefix bool
	Doc    string
	// Append adds the value to dst; false means that there is none. rest is the part of the name after the family's
	// prefix, otherwise empty.
	Append func(c C, rest string, dst []byte) ([]byte, bool)
	// Assign stores a value given by `set`; nil if the variable is read-only.
	Assign func(c C, value []byte)
	// Replaceable allows another declaration of the same name to replace it (set, map and similar directives share
	// names).
	Replaceable bool
}

// Use is one use of a variable, bound to its declaration by Table.Resolve or earlier.
type Use[C any] struct {
	name string
	decl *Variable[C]
	rest string
	// where is the caller's note about the first use, returned with unknown variables.
	where any
}

// Unknown is a variable that was used and never declared.
type Unknown struct {
	Name  string
	Where any // passed to Compile with the first use
}

func (u Unknown) Error() string { return fmt.Sprintf("unknown %q variable", u.Name) }

// Table knows the variables of one side. It is filled while a configuration is bound and only read afterwards.
type Table[C any] struct {
	exact    map[string]*Variable[C]
	families []*Variable[C]
	uses     map[string]*Use[C]
	order    []*Use[C]
}

// NewTable returns an empty table.
func NewTable[C any]() *Table[C] {
	return &Table[C]{exact: map[string]*Variable[C]{}, uses: map[string]*Use[C]{}}
}

// Declare adds a variable. A second declaration is an error with nginx's text unless the first one is replaceable.
func (g *Table[C]) Declare(v Variable[C]) error {
	name := strings.ToLower(v.Name)
	v.Name = name
	if v.Prefix {
		g.families = append(g.families, &v)
		return nil
	}
	if old := g.exact[name]; old != nil && !old.Replaceable {
		return fmt.Errorf("the duplicate %q variable", name)
	}
	g.exact[name] = &v
	return nil
}

// Find returns the current declaration of a name, or nil.
func (g *Table[C]) Find(name string) (decl *Variable[C], rest string) {
	name = strings.ToLower(name)
	if v := g.exact[name]; v != nil {
		return v, ""
	}
	var best *Variable[C]
	for _, f := range g.families {
		if strings.HasPrefix(name, f.Name) && (best == nil || len(f.Name) > len(best.Name)) {
			best = f
		}
	}
	if best == nil {
		return nil, ""
	}
	return best, name[len(best.Name):]
}

// use returns the shared use of a name.
func (g *Table[C]) use(name string, where any) *Use[C] {
	name = strings.ToLower(name)
	u := g.uses[name]
	if u == nil {
		u = &Use[C]{name: name, where: where}
		g.uses[name] = u
		g.order = append(g.order, u)
	}
	return u
}

// Uses reports whether a variable is used by any template so far.
func (g *Table[C]) Uses(name string) bool { return g.uses[strings.ToLower(name)] != nil }

// Resolve binds every use to its declaration, after the whole configuration was read (a variable can be used above the
// line that declares it). It returns the undeclared ones, in order of use.
func (g *Table[C]) Resolve() []Unknown {
	var missing []Unknown
	for _, u := range g.order {
		u.decl, u.rest = g.Find(u.name)
		if u.decl == nil {
			missing = append(missing, Unknown{Name: u.name, Where: u.where})
		}
	}
	return missing
}

// Append adds the variable's value to dst; false means that it has none.
func (u *Use[C]) Append(dst []byte, c C) ([]byte, bool) { return u.decl.Append(c, u.rest, dst) }

// Name is the variable's name without the dollar, in lower case.
func (u *Use[C]) Name() string { return u.name }
