// Package stream serves TCP and UDP: it runs sessions through nginx's phases and passes each to the module that has the
// content. Its counterpart for HTTP is package web.
package stream

import (
	"fmt"

	"starling/admin"
	"starling/conf"
	"starling/plan"
	"starling/side"
	"starling/vars"
)

// Module is everything that a family of directives adds to the stream side.
type Module struct {
	conf.Module
	// Variables are read from a session.
	Variables []vars.Variable[*Session]
	// Handlers run in the order of their phases, within a phase in the order of the modules.
	Handlers []Hook
	// Server adds settings to a server that are not handlers: TLS.
	Server func(b *Block, s *Server) error
	// Link runs once per configuration after all was bound; zones get their values there.
	Link func(p *plan.Plan) error
	// API lists the module's resources.
	API func(p *plan.Plan) []admin.Resource
}

// Hook adds a handler to a phase. Build is called for each server; a nil Handler means that there is nothing to do.
type Hook struct {
	Phase Phase
	Build func(b *Block) (Handler, error)
}

// Handler does one step of a session.
type Handler func(s *Session) Result

// Result is how a session continues.
type Result int

// Results below 100; a greater one is nginx's status that ends the session (403, 500, 502, 503).
const (
	// Declined continues with the next handler.
	Declined Result = 0
	// Granted skips the other handlers of this phase.
	Granted Result = 1
	// Done means that the session was served; its status is 200.
	Done Result = 2
	// Again requests more bytes from the client before the handler is called again; see Session.Preread. Only for the
	// phase Preread.
	Again Result = 3
	// Parked ends the content handler but not the session, which continues without a goroutine until Session.Finish.
	// That can be called before the handler returns.
	Parked Result = 4
)

// The statuses of sessions, as nginx logs them.
const (
	StatusOK                 = 200
	StatusBadRequest         = 400
	StatusForbidden          = 403
	StatusInternalError      = 500
	StatusBadGateway         = 502
	StatusServiceUnavailable = 503
)

// Phase is a phase of a session, in nginx's order.
type Phase int

// The phases.
const (
	PostAccept Phase = iota
	PreAccess        // limit_conn
	Access           // allow, deny
	SSL              // the handshake
	Preread
	Content // exactly one module serves the session
	Log
	phases
)

// Block is a server block while it is built.
type Block struct {
	Scope  *conf.Scope
	Plan   *plan.Plan
	Server *Server
}

// Side is the stream side.
var Side = side.Side[*Session]{Name: "stream", Many: "connections", Block: conf.Stream}

// Regex is a regular expression of the stream side.
type Regex = side.Regex[*Session]

// Prepare registers the modules' variables and link steps. Call it before the configuration is bound, because
// directives can declare more variables.
func Prepare(p *plan.Plan, modules []*Module) error {
	for _, m := range modules {
		if m.Link != nil {
			p.OnLink(func() error { return m.Link(p) })
		}
		for _, v := range m.Variables {
			if err := Side.Variables(p).Declare(v); err != nil {
				return fmt.Errorf("module %s: %w", m.Name, err)
			}
		}
	}
	return nil
}
