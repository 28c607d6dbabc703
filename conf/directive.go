package conf

// Directive is the only declaration of a directive: the checker, the binder, the reference page, the compatibility
// table and the generator of valid configurations are derived from it.
type Directive struct {
	Name string
	// Syntax is both the argument checker and the line in the docs; "" takes no arguments.
	//
	//	<key>                 a value by position, a.Value("key")
	//	<name>...             one or more, a.Values("name"); [<name>...] none or more
	//	on | off              one of these words
	//	zone=<name>:<size>    a parameter that must be given, a.Value("zone")
	//	[burst=<number>]      one that may; a.Has("burst") tells
	//	[create=<value>...]   one that may come several times, a.Values("create")
	//	[type=string|ip]      one of these values
	//	[nodelay|delay=<n>]   a flag or a parameter, not both
	//	[gzip[=<level>]]      a flag with an optional value
	//	<path>|off            a value or this word, a.Has("off")
	//	[two [<method>]]      both optional; that one needs the other is the setter's to see
	//
	// Several lines are alternatives, told apart by their first word ("cookie <name> …\nroute <value>…").
	Syntax string
	// OneMore allows any number of arguments above one, as nginx does for some directives: extra words are then
	// reported as invalid parameters instead of a wrong number.
	OneMore bool
	// Unsupported lists parameters that nginx supports and starling does not ("service=", "quic").
	Unsupported []string
	// Rejected are words that an operator may expect to work, and why they do not: those that another directive takes.
	Rejected map[string]string
	// Refused is a Syntax of arguments that nginx accepts and starling does not: "on" of a directive that accepts only
	// "off", because the feature is not supported.
	Refused string
	// NoEffect marks a directive that is accepted and checked, and does nothing.
	NoEffect   bool
	Default    string // as text; passed to Set before the directives of the file
	DefaultDoc string // for the docs, if Default does not say it all
	In         Context
	Opens      Context // context of its block; 0: a simple directive
	// OpensIn overrides Opens if the context of the block depends on the enclosing one: if in server, if in location.
	OpensIn func(in Context) Context
	Repeat  bool // can be given more than once on one level
	Doc     string
	// Params describes the parameters and flags of Syntax, by name, for the reference page.
	Params map[string]string
	Set    Setter // may be nil for a block whose arguments are not stored
}

// IsBlock reports whether the directive opens a block.
func (d *Directive) IsBlock() bool { return d.Opens != 0 || d.OpensIn != nil }

// OpensBlock is the context of the block that the directive opens in the context in.
func (d *Directive) OpensBlock(in Context) Context {
	if d.OpensIn != nil {
		return d.OpensIn(in)
	}
	return d.Opens
}

// Module is one family of directives with the settings they share.
type Module struct {
	Name       string
	Doc        string
	Directives []Directive
	New        func() any // settings with zero values, before defaults; see NewOf
	// Clone copies the settings of a block for a nested one. It must copy values that setters change in place, such as
	// maps; slices filled by List are safe in a shallow copy. See CloneOf.
	Clone func(settings any) any
	// Enter, if set, adjusts the copy for a nested block before its directives are bound: it clears settings that are
	// not inherited (proxy_pass in a nested location).
	Enter func(settings any, in Context)
	// Check, if set, runs for each block of a context in which the module has directives, after the whole tree was
	// bound, unless the block has a problem. It reports what is missing in a block. See CheckOf, At, AtEnd, Problems.
	Check func(settings any, scope *Scope) error
}

// NewOf is a Module.New for settings with a usable zero value.
func NewOf[S any]() any { return new(S) }

// CloneOf is a Module.Clone for settings that need only a shallow copy.
func CloneOf[S any](settings any) any {
	c := *settings.(*S)
	return &c
}

// CheckOf is a Module.Check of a typed function.
func CheckOf[S any](check func(*S, *Scope) error) func(any, *Scope) error {
	return func(settings any, scope *Scope) error { return check(settings.(*S), scope) }
}

// Setter stores checked arguments into settings.
type Setter func(settings any, a *Args) error

// Args are the arguments of one directive, matched against its Syntax.
type Args struct {
	Words []string
	Node  *Node
	First bool    // the first of its name on this level
	In    Context // of the enclosing block
	Scope *Scope  // that block
	Inner *Scope  // the block that it opens, not yet bound; nil for a simple directive
	Env   any     // passed by the caller of Bind

	named   map[string][]string
	binding *binding
	written map[any]bool // destinations that FirstWrite has seen on this level
}

// Value returns the value of a named argument or parameter, "" if it was not given.
func (a *Args) Value(name string) string {
	if v := a.named[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// Values returns all values of a repeatable argument or parameter, in order.
func (a *Args) Values(name string) []string { return a.named[name] }

// Has reports whether a flag, a parameter or a named argument was given.
func (a *Args) Has(name string) bool {
	_, given := a.named[name]
	return given
}

// FirstWrite reports whether this is the first write on this level to a destination, a pointer into the settings. Until
// then it holds the inherited value. Several directives can fill one destination (allow and deny).
func (a *Args) FirstWrite(place any) bool {
	if a.written[place] {
		return false
	}
	if a.written != nil {
		a.written[place] = true
	}
	return true
}

// Warn reports something odd that is not a problem; nginx logs it at level warn.
func (a *Args) Warn(format string, args ...any) { a.WarnAt(a.Node, format, args...) }

// WarnAt is Warn for a line of the directive's block.
func (a *Args) WarnAt(n *Node, format string, args ...any) {
	if a.binding != nil {
		a.binding.warnings = append(a.binding.warnings, At(n, format, args...))
	}
}

// Ignore reports that the directive is accepted and has no effect; why completes "no effect: ".
func (a *Args) Ignore(why string) {
	if a.binding != nil && a.Node.File != "" { // the default is nobody's directive
		a.binding.ignored = append(a.binding.ignored, Ignored{a.Node, why})
	}
}

// Supports reports whether a module of nginx is known by its name ("ngx_http_geo_module"), and whether at least one of
// its directives is declared here with an effect.
func (a *Args) Supports(module string) (known, supported bool) {
	for _, k := range KnownDirectives() {
		if k.Module != module {
			continue
		}
		known = true
		for _, d := range a.Scope.binder.byName[k.Name] {
			if d.In&k.In != 0 && d.Refused == "" && !d.NoEffect {
				return true, true
			}
		}
	}
	return known, false
}
