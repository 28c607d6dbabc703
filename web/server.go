package web

import (
	"crypto/tls"
	"fmt"

	"starling/conf"
	"starling/logs"
	"starling/plan"
	"starling/ssl"
)

// Server is one virtual server.
type Server struct {
	Scope *conf.Scope
	Core  *Settings // set by the core family
	// Name is the first of server_name, "" if there is none ($server_name).
	Name string
	// TLS is set by the module that knows certificates. The default server of an address that listens with ssl needs
	// one.
	TLS *tls.Config
	// AlwaysTLS makes all addresses use TLS whose default server this is, as if they listened with ssl.
	AlwaysTLS bool
	// Inspect checks the client when a handshake with this server is done, and returns Conn.Peer.
	Inspect func(c *Conn, state *tls.ConnectionState) *ssl.Peer
	// VerifyClient is ssl_verify_client. AfterHandshake applies it to requests.
	VerifyClient ssl.VerifyClient
	// AfterHandshake is called at the start of each request over TLS; a status (495, 496) rejects it, Declined
	// continues.
	AfterHandshake func(r *Request) Result
	// VerifiesClients rejects (421) requests over connections whose handshake named another server.
	VerifiesClients bool
	Log             logs.Logger

	tlsHTTP2 *tls.Config // TLS with h2 first in ALPN

	base   *Location // the server's own settings as a location
	phases [phaseCount][]Handler
	tree   *locationTree
	zone   zoneOf
}

// builder makes a Site and is dropped afterwards.
type builder struct {
	site     *Site
	plan     *plan.Plan
	modules  []*Module
	problems conf.Problems
}

func (b *builder) problem(n *conf.Node, err error) {
	b.problems = append(b.problems, conf.ProblemsAt(n, err)...)
}

// server builds one server block.
func (b *builder) server(scope *conf.Scope) (*Server, error) {
	s := &Server{Scope: scope, Core: conf.SettingsOf[Settings](scope), tree: newLocationTree()}
	s.Name = s.Core.Names.First()
	s.zone = serverZone(b.plan, &s.Core.ServerZone)
	log, err := b.plan.OpenErrorLog(s.Core.ErrorLogs)
	if err != nil {
		return nil, err
	}
	s.Log = log
	block := &Block{Scope: scope, Plan: b.plan, Server: s, builder: b}
	for _, m := range b.modules {
		if m.Server == nil {
			continue
		}
		if err := m.Server(block, s); err != nil {
			return nil, err
		}
	}
	if s.TLS != nil {
		s.tlsHTTP2 = s.TLS.Clone()
		s.tlsHTTP2.NextProtos = append([]string{protocolHTTP2}, s.TLS.NextProtos...)
	}
	if s.phases, err = b.handlers(block, true); err != nil {
		return nil, err
	}
	if s.base, err = b.location(scope, s, nil, LocationName{}); err != nil {
		return nil, err
	}
	if len(s.Core.EarlyBody) > 0 {
		base := &Block{Scope: scope, Plan: b.plan, Server: s, Current: s.base, builder: b}
		base.KeepsBodies()
	}
	b.locations(scope, s, nil, s.tree)
	return s, nil
}

// locations builds the locations of one level into a tree.
func (b *builder) locations(scope *conf.Scope, s *Server, outer *LocationName, tree *locationTree) {
	for _, inner := range scope.All("location") {
		if err := b.addLocation(inner, s, outer, tree); err != nil {
			b.problem(inner.Node, err)
		}
	}
	tree.finish()
}

func (b *builder) addLocation(scope *conf.Scope, s *Server, outer *LocationName, tree *locationTree) error {
	name, err := ReadLocationName(scope.Words)
	if err != nil {
		return err
	}
	if err := name.checkNesting(outer); err != nil {
		return err
	}
	var regex *Regex
	if name.IsRegex() {
		if regex, err = Side.Regex(b.plan, name.Text, name.kind == caselessLocation); err != nil {
			return err
		}
	}
	l, err := b.location(scope, s, nil, name)
	if err != nil {
		return err
	}
	if regex != nil {
		tree.regexes = append(tree.regexes, locationRegex{regex, l})
	} else if !tree.add(l) {
		return fmt.Errorf("duplicate location \"%s\"", name.Text)
	}
	if len(scope.All("location")) > 0 {
		l.inner = newLocationTree()
		b.locations(scope, s, &name, l.inner)
	}
	return nil
}

// location builds the handlers of a block; around is the location that encloses a block without a name.
func (b *builder) location(scope *conf.Scope, s *Server, around *Location, name LocationName) (*Location, error) {
	l := &Location{
		Scope: scope,
		Core:  conf.SettingsOf[Settings](scope),
		Name:  name.Text,
		kind:  name.kind,
	}
	if around != nil {
		l.Name, l.kind, l.inner, l.outer = around.Name, around.kind, around.inner, around.answers
	}
	l.rootLiteral, _ = l.Core.Root.Literal()
	l.zone = locationZone(b.plan, &l.Core.LocationZone)
	var err error
	if l.Log, err = b.plan.OpenErrorLog(l.Core.ErrorLogs); err != nil {
		return nil, err
	}
	block := &Block{Scope: scope, Plan: b.plan, Server: s, Current: l, builder: b}
	if l.phases, err = b.handlers(block, false); err != nil {
		return nil, err
	}
	for _, m := range b.modules {
		for _, hook := range m.Filters {
			filter, err := hook.Build(block)
			if err != nil {
				return nil, err
			}
			if filter != nil {
				l.filters = append(l.filters, filter)
				if !hook.Joint {
					l.joint = len(l.filters)
				}
			}
		}
	}
	for _, inner := range scope.All("limit_except") {
		if l.limitExcept, err = b.location(inner, s, l, name); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// handlers builds those of a server's phases or of a location's.
func (b *builder) handlers(block *Block, ofServer bool) (phases [phaseCount][]Handler, err error) {
	// Content is first: blocks inside, which other phases build, need to know the content handlers.
	if !ofServer {
		if phases[Content], err = b.content(block); err != nil {
			return phases, err
		}
	}
	for _, m := range b.modules {
		for _, hook := range m.Handlers {
			if hook.Phase.ofServer() != ofServer || hook.Phase == Content {
				continue
			}
			handler, err := hook.Build(block)
			if err != nil {
				return phases, err
			}
			if handler != nil {
				phases[hook.Phase] = append(phases[hook.Phase], handler)
			}
		}
	}
	return phases, nil
}

// content builds the handlers named by a directive, and the defaults.
func (b *builder) content(block *Block) ([]Handler, error) {
	var named Handler
	var lasts []Handler
	for _, m := range b.modules {
		for _, hook := range m.Handlers {
			if hook.Phase != Content {
				continue
			}
			handler, err := hook.Build(block)
			switch {
			case err != nil:
				return nil, err
			case handler == nil:
			case hook.LastResort:
				lasts = append(lasts, handler)
			default:
				if named, err = block.answer(m, handler, named); err != nil {
					return nil, err
				}
			}
		}
	}
	if named == nil {
		return lasts, nil
	}
	return append([]Handler{named}, lasts...), nil
}

// answer adds the handler of a family that makes content to those found before, if any. Handlers inherited by an if or
// limit_except are replaced by its own.
func (b *Block) answer(m *Module, handler, before Handler) (Handler, error) {
	l := b.Current
	switch {
	case before == nil || l.answers == l.outer:
		l.answers = m.Name
		return handler, nil
	case m.Name == l.outer:
		return before, nil
	}
	return nil, conf.At(b.Scope.Node, "\"%s\" and \"%s\" cannot be used in the same location", l.answers, m.Name)
}

// Location compiles a block inside this one (if, a nested block of a module) to which a handler can switch.
func (b *Block) Location(inner *conf.Scope) (*Location, error) {
	return b.builder.location(inner, b.Server, b.Current, LocationName{})
}
