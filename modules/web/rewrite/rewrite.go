package rewrite

import (
	"starling/conf"
	"starling/logs"
	"starling/nginx/escape"
	"starling/plan"
	"starling/vars"
	"starling/web"
)

// command is one directive, run in the order of the configuration. It returns true to end the commands.
type command interface {
	run(m *machine) (ends bool)
}

// machine runs the commands of one block for one request.
type machine struct {
	r   *web.Request
	log bool
	// quote: captures in values are escaped until the first rewrite of the block has matched, as in nginx.
	quote bool
	// moved means that the URI was changed and its location not yet searched.
	moved  bool
	result web.Result
}

// buildLocation makes the commands of a location. Those of the server run before the location is searched, and not
// again if there is none.
func buildLocation(b *web.Block) (web.Handler, error) {
	if b.Scope.In == conf.Server {
		return nil, nil
	}
	return build(b)
}

// build makes the handler of a block's commands. It compiles the blocks of its ifs too.
func build(b *web.Block) (web.Handler, error) {
	if b.Scope.In != conf.Server && b.Scope.In != conf.Location {
		return nil, nil // the commands of an if run with those of the enclosing block; limit_except has none
	}
	s := conf.SettingsOf[Settings](b.Scope)
	if len(s.commands) == 0 {
		return nil, nil
	}
	commands, err := link(b, s.commands)
	if err != nil {
		return nil, err
	}
	search := b.Scope.In != conf.Server // after the server's commands the location is searched anyway
	log := s.Log
	return func(r *web.Request) web.Result {
		m := machine{r: r, log: log, quote: true}
		for _, c := range commands {
			if c.run(&m) {
				break
			}
		}
		if m.result == web.Declined && m.moved && search {
			return r.Relocate(r.Path, r.Query)
		}
		return m.result
	}, nil
}

// link gives the ifs among the commands the commands and the location of their blocks.
func link(b *web.Block, commands []command) ([]command, error) {
	linked := make([]command, len(commands))
	for i, c := range commands {
		linked[i] = c
		branch, ok := c.(*ifCommand)
		if !ok {
			continue
		}
		scope := scopeOf(b.Scope, branch.node)
		inner := conf.SettingsOf[Settings](scope)
		l := &ifCommand{condition: branch.condition, node: branch.node, commands: inner.commands}
		if scope.In == conf.LocationIf {
			var err error
			if l.location, err = b.Location(scope); err != nil {
				return nil, err
			}
		}
		linked[i] = l
	}
	return linked, nil
}

func scopeOf(s *conf.Scope, node *conf.Node) *conf.Scope {
	for _, inner := range s.Inner {
		if inner.Node == node {
			return inner
		}
	}
	panic("rewrite: the binder made no scope for an if at " + node.File)
}

// value is a variable's value, empty if it has none.
func (m *machine) value(use *vars.Use[*web.Request]) []byte {
	v, _ := m.r.Value(use)
	return v
}

func (m *machine) text(t *text) []byte { return t.expand(m.r, m.quote) }

// match tries an expression and logs the result if the block wants it. The captures become those of this expression,
// none if it failed.
func (m *machine) match(re *web.Regex, pattern string, subject []byte) bool {
	found := re.Match(m.r, subject)
	if !found {
		m.r.Captures.Reset()
	}
	if m.log {
		verb := "does not match"
		if found {
			verb = "matches"
		}
		m.r.Logf(logs.Notice, "\"%s\" %s \"%s\"", pattern, verb, subject)
	}
	return found
}

type breakCommand struct{}

func (breakCommand) run(m *machine) bool {
	if m.moved {
		m.moved, m.r.Displaced = false, true
	}
	return true
}

// target is where a set stores: a slot of the request, or a variable with its own setter.
type target struct {
	slot   int
	assign func(*web.Request, []byte)
}

// assignable finds or declares the variable of a set. One of a family ($http_NAME) keeps its value in requests that do
// not set it.
func assignable(p *plan.Plan, name string) (target, error) {
	decl, rest := web.Side.Variables(p).Find(name)
	if decl != nil && decl.Assign != nil {
		return target{assign: decl.Assign}, nil
	}
	slot, err := web.Side.SlotVariable(p, name)
	switch {
	case err != nil:
	case decl != nil && decl.Prefix:
		web.Side.OtherwiseOf(p, slot, decl, rest)
	default:
		web.Side.OnUnset(p, slot, func(r *web.Request) { warnUnset(r, name) })
	}
	return target{slot: slot}, err
}

func warnUnset(r *web.Request, name string) {
	if r.LogEnabled(logs.Warn) && conf.SettingsOf[Settings](r.Location.Scope).Warn {
		r.Logf(logs.Warn, "using uninitialized \"%s\" variable", name)
	}
}

type setCommand struct {
	target target
	value  text
}

func (c *setCommand) run(m *machine) bool {
	v := m.text(&c.value)
	if c.target.assign != nil {
		c.target.assign(m.r, v)
		return false
	}
	slot := m.r.Slot(c.target.slot)
	slot.Value, slot.Set = v, true
	return false
}

type returnCommand struct {
	status int
	text   vars.Template[*web.Request]
}

// run answers as ngx_http_send_response does: a text is the body, or the target of a redirect; an error without a text
// gets its page.
func (c *returnCommand) run(m *machine) bool {
	r := m.r
	empty := c.text.Text() == ""
	if c.status >= 400 && empty || c.status == int(web.CloseConnection) {
		m.result = web.Result(c.status)
		return true
	}
	v := r.Expand(&c.text)
	switch c.status {
	case 301, 302, 303, 307, 308:
		r.Out.Location = v
		m.result = web.Result(c.status)
	default:
		m.result = r.Respond(c.status, "", v)
	}
	return true
}

type rewriteCommand struct {
	regex       *web.Regex
	pattern     string
	path, query text
	hasQuery    bool // the replacement contains a "?"
	status      int  // of a redirect, or 0
	ends        bool // last, break and redirects
	stays       bool // break: the location is not searched again
	keepQuery   bool // no "?" at the very end: the client's own arguments follow
}

func (c *rewriteCommand) run(m *machine) bool {
	r := m.r
	if !m.match(c.regex, c.pattern, r.Path) {
		return false
	}
	r.Internal = true
	r.Displaced = r.Displaced || c.stays
	m.moved, m.quote = !c.stays, false
	if c.status != 0 {
		c.redirect(m)
		return true
	}
	path := c.path.expand(r, false)
	switch {
	case c.hasQuery:
		r.Query = c.withQuery(r, c.query.expand(r, true), '&')
	case !c.keepQuery:
		r.Query = nil
	}
	r.Path = path
	if m.log {
		r.Logf(logs.Notice, "rewritten data: \"%s\", args: \"%s\"", r.Path, r.Query)
	}
	if len(r.Path) == 0 {
		r.Logf(logs.Error, "the rewritten URI has a zero length")
		m.result = 500
		return true
	}
	return c.ends
}

// withQuery appends the arguments of the request to a text, unless the replacement ends them.
func (c *rewriteCommand) withQuery(r *web.Request, text []byte, separator byte) []byte {
	if !c.keepQuery || len(r.Query) == 0 {
		return text
	}
	return r.KeepScratch(append(append(append(r.Scratch(), text...), separator), r.Query...))
}

// redirect sends the client to the replacement.
func (c *rewriteCommand) redirect(m *machine) {
	r := m.r
	separator := byte('?')
	if c.hasQuery {
		separator = '&'
	}
	location := c.withQuery(r, escape.RedirectInPlace(c.path.expand(r, true)), separator)
	if m.log {
		r.Logf(logs.Notice, "rewritten redirect: \"%s\"", location)
	}
	r.Out.Location = location
	m.moved = false
	m.result = web.Result(c.status)
}

type ifCommand struct {
	condition condition
	node      *conf.Node
	commands  []command
	location  *web.Location // nil in a server
}

func (c *ifCommand) run(m *machine) bool {
	if !c.condition.holds(m) {
		return false
	}
	if c.location != nil {
		m.r.SwitchTo(c.location)
	}
	for _, inner := range c.commands {
		if inner.run(m) {
			return true
		}
	}
	return false
}
