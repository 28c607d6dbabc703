package conf

// Scope is one bound block: the settings of every module there, and the blocks in it.
type Scope struct {
	Name   string // of the directive that opened it; "main" for the whole file
	Words  []string
	Node   *Node // that directive; a node without words for the whole file
	In     Context
	Args   *Args // of that directive, matched; nil for the whole file
	Parent *Scope
	Inner  []*Scope

	binder   *Binder
	settings []any
	env      any
	faulty   bool // its own directives have a problem
}

// Env is the environment passed to Bind.
func (s *Scope) Env() any { return s.env }

// Settings returns the settings of a module in a block. If the module has no directives in the block's context, they
// are the enclosing block's own, not a copy. For a module that is not in the binder's list, as in a test with few
// modules, they are new and zero.
func Settings[S any](scope *Scope, m *Module) *S {
	if i, listed := scope.binder.index[m]; listed && scope.settings != nil {
		if s, ok := scope.settings[i].(*S); ok {
			return s
		}
	}
	return new(S)
}

// SettingsOf returns the settings of a type in a block, whichever module they belong to: a module's own handlers cannot
// name the variable that lists them. They are new and zero if no module in the binder's list has that type.
func SettingsOf[S any](scope *Scope) *S {
	for _, settings := range scope.settings {
		if s, ok := settings.(*S); ok {
			return s
		}
	}
	return new(S)
}

// All returns the blocks with a name directly in this one.
func (s *Scope) All(name string) []*Scope {
	var found []*Scope
	for _, inner := range s.Inner {
		if inner.Name == name {
			found = append(found, inner)
		}
	}
	return found
}

// Walk calls visit for the block and all blocks in it, outer ones first.
func (s *Scope) Walk(visit func(*Scope)) {
	visit(s)
	for _, inner := range s.Inner {
		inner.Walk(visit)
	}
}
