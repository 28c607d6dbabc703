package upstream

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"starling/lib/clock"
)

// Codes of EditError, as documented by the NGINX Plus API.
const (
	ServerNotFound  = "UpstreamServerNotFound"
	ServerImmutable = "UpstreamServerImmutable"
	WeightImmutable = "UpstreamServerWeightImmutable"
	BadWeight       = "UpstreamBadWeight"
	BadMaxConns     = "UpstreamBadMaxConns"
	BadMaxFails     = "UpstreamBadMaxFails"
	BadFailTimeout  = "UpstreamBadFailTimeout"
	BadSlowStart    = "UpstreamBadSlowStart"
	BadRoute        = "UpstreamBadRoute"
	BadAddress      = "UpstreamBadAddress"
	NoBackup        = "UpstreamNoBackup"
	OutOfMemory     = "UpstreamOutOfMemory"
	EntryExists     = "EntryExists"
	maxRouteBytes   = 32
	invalidRoute    = "invalid route, spaces, quotes, commas, semicolons, backslashes and control characters are " +
		"not allowed"
	maxEditedWeight = 65535
)

// EditError is a rejected change of a group; nothing was changed.
type EditError struct {
	Code string // one of the codes above
	Text string
}

func (e *EditError) Error() string { return e.Text }

// Change is a requested change of a server; nil fields stay unchanged.
type Change struct {
	Weight      *int
	MaxConns    *int
	MaxFails    *int
	FailTimeout *time.Duration
	SlowStart   *time.Duration
	Route       *string
	Down        *bool
	// Drain true passes only requests of existing sessions. Only Down false reverts it.
	Drain *bool
}

// Check returns why a change is invalid.
func (c *Change) Check() error {
	switch {
	case c.Weight != nil && (*c.Weight < 1 || *c.Weight > maxEditedWeight):
		return &EditError{BadWeight, "invalid weight"}
	case c.MaxConns != nil && *c.MaxConns < 0:
		return &EditError{BadMaxConns, "invalid max_conns"}
	case c.MaxFails != nil && *c.MaxFails < 0:
		return &EditError{BadMaxFails, "invalid max_fails"}
	case c.FailTimeout != nil && *c.FailTimeout < 0:
		return &EditError{BadFailTimeout, "invalid fail_timeout"}
	case c.SlowStart != nil && *c.SlowStart < 0:
		return &EditError{BadSlowStart, "invalid slow_start"}
	case c.Route != nil && len(*c.Route) > maxRouteBytes:
		return &EditError{BadRoute, "route is longer than 32 symbols"}
	case c.Route != nil && !ValidRoute(*c.Route):
		return &EditError{BadRoute, invalidRoute}
	}
	return nil
}

// ValidRoute reports whether a route can be the value of a cookie without escaping (RFC 6265, cookie-octet): another
// byte would end the value, and the rest would become attributes of the cookie, or another header.
func ValidRoute(route string) bool {
	for i := range len(route) {
		switch c := route[i]; {
		case c <= ' ', c >= 0x7f, c == '"', c == ',', c == ';', c == '\\':
			return false
		}
	}
	return true
}

// AddNew is Add for the API: it also rejects an existing server.
func (g *Group) AddNew(settings Settings, now clock.Reading) (*Server, error) {
	change := Change{Weight: &settings.Weight, MaxConns: &settings.MaxConns, MaxFails: &settings.MaxFails,
		FailTimeout: &settings.FailTimeout, SlowStart: &settings.SlowStart, Route: &settings.Route}
	if err := change.Check(); err != nil {
		return nil, err
	}
	g.changes.Lock()
	defer g.changes.Unlock()
	g.mu.Lock()
	exists, full := false, g.full()
	g.each(func(s *Server) {
		exists = exists || s.parent == nil && (s.Name == settings.Name && s.settings.Service == settings.Service ||
			g.sharing != nil && s.key() == settings.Key())
	})
	g.mu.Unlock()
	switch {
	case exists:
		return nil, &EditError{EntryExists, fmt.Sprintf("server %q already exists", settings.Name)}
	case full:
		return nil, g.outOfMemory()
	}
	if g.sharing != nil {
		return g.addShared(settings, now)
	}
	if err := g.save(nil, settings); err != nil {
		return nil, err
	}
	s, err := g.Add(settings, now)
	if err != nil { // DNS has filled the group meanwhile
		return nil, errors.Join(err, g.save(nil))
	}
	return s, nil
}

// Change changes a server at run time. Changing a template changes the servers resolved from it.
func (g *Group) Change(id int, c Change, now clock.Reading) (*Server, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	g.changes.Lock()
	defer g.changes.Unlock()
	s, err := g.changeable(id, c)
	if err != nil {
		return nil, err
	}
	if g.sharing != nil {
		return g.changeShared(s, c, now)
	}
	if s.parent == nil {
		err = g.save(func(other int, settings *Settings) bool {
			if other == id {
				settings.apply(c)
			}
			return true
		})
	}
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s.apply(c, now)
	if s.settings.template() {
		g.each(func(child *Server) {
			if child.parent == s {
				child.apply(c, now)
			}
		})
	}
	g.recount()
	g.serve(now)
	return s, nil
}

// changeable finds the server that a change is for, and rejects a change that the server does not allow.
func (g *Group) changeable(id int, c Change) (*Server, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.find(id)
	if s == nil {
		return nil, notFound(id)
	}
	if c.Weight != nil && s.parent != nil && s.parent.settings.Service != "" && *c.Weight != s.settings.Weight {
		return nil, &EditError{WeightImmutable, "weight of a server resolved from an SRV record cannot be changed"}
	}
	return s, nil
}

func notFound(id int) error {
	return &EditError{ServerNotFound, fmt.Sprintf("server with ID \"%d\" does not exist", id)}
}

func (s *Settings) apply(c Change) {
	assign(&s.Weight, c.Weight)
	assign(&s.MaxConns, c.MaxConns)
	assign(&s.MaxFails, c.MaxFails)
	assign(&s.FailTimeout, c.FailTimeout)
	assign(&s.SlowStart, c.SlowStart)
	assign(&s.Route, c.Route)
	if c.Down != nil {
		s.Down, s.Drain = *c.Down, false
	}
	assign(&s.Drain, c.Drain)
}

func (s *Server) apply(c Change, now clock.Reading) {
	set := &s.settings
	wasOut, wasDown := s.takenOut(), set.Down
	if c.Weight != nil && *c.Weight != set.Weight {
		s.effectiveWeight, s.currentWeight = *c.Weight, 0
	}
	set.apply(c)
	s.sessionID = sessionIDOf(set.Route, s.Addr.Text)
	if wasDown && !set.Down && !set.template() {
		s.group.announce(s) // nothing is known: a server that is down is not checked
	}
	switch out := s.takenOut(); {
	case out && !wasOut:
		s.Stats.goneOut(now.WallMS)
	case !out && wasOut:
		s.fails, s.failed = 0, false
		s.noteReturn(now)
		s.beginSlowStart(now.MonoMS)
	}
}

func assign[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// Remove removes a server, or a template with all its servers, from the group. Their requests in flight continue.
func (g *Group) Remove(id int, now clock.Reading) error {
	g.changes.Lock()
	defer g.changes.Unlock()
	g.mu.Lock()
	s := g.find(id)
	g.mu.Unlock()
	switch {
	case s == nil:
		return notFound(id)
	case s.parent != nil:
		return &EditError{
			ServerImmutable,
			fmt.Sprintf("server %d was resolved from server %d: remove that server instead", id, s.parent.ID),
		}
	}
	if g.sharing != nil {
		return g.removeShared(s, now)
	}
	if err := g.save(func(other int, _ *Settings) bool { return other != id }); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(s)
	return nil
}

// drop removes a server, or a template with its servers; under the lock.
func (g *Group) drop(s *Server) {
	if s.settings.template() {
		g.removeTemplate(s)
	} else {
		g.leave(s)
	}
}

// removeTemplate removes a template and its servers; under the lock.
func (g *Group) removeTemplate(template *Server) {
	g.templates = slices.DeleteFunc(slices.Clone(g.templates), func(t *Server) bool { return t == template })
	for _, child := range g.childrenOf(template) {
		g.leave(child)
	}
	g.edited()
}

func (g *Group) childrenOf(template *Server) []*Server {
	var children []*Server
	g.each(func(s *Server) {
		if s.parent == template {
			children = append(children, s)
		}
	})
	return children
}
