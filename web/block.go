package web

import (
	"starling/conf"
	"starling/plan"
	"starling/side"
)

// Block is the input of a module's builders of handlers, filters and servers: one bound block and its context.
type Block struct {
	Scope *conf.Scope
	Plan  *plan.Plan
	// Server is the virtual server, Current the location being built; nil for the handlers of a server.
	Server  *Server
	Current *Location

	builder *builder
}

// Side is the http side.
var Side = side.Side[*Request]{Name: "http", Many: "requests", Block: conf.HTTP}

// Regex is a regular expression of the http side.
type Regex = side.Regex[*Request]

// Slot is the value of a slot variable, or a family's state during a request.
type Slot = side.Slot

// part is the state of the http side for a whole configuration.
type part struct {
	prepared bool
	spool    *bodySpool
	tempDirs []tempDir // to be created at the start
}

func partOf(p *plan.Plan) *part { return plan.Part[part](p) }
