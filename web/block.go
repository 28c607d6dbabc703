package web

import (
	"starling/conf"
	"starling/plan"
	"starling/side"
)

// Block is the input of a module's builders of handlers, filters and servers: one bound block and its surroundings.
type Block struct {
	Scope *conf.Scope
	Plan  *plan.Plan
	// Server is the virtual server, Current the location being built; nil for a server's own handlers.
	Server  *Server
	Current *Location

	builder *builder
}

// Side is the http side.
var Side = side.Side[*Request]{Name: "http", Many: "requests", Block: conf.HTTP}

// Regex is a regular expression of the http side.
type Regex = side.Regex[*Request]

// Slot is the value of a slot variable, or what a family keeps during a request.
type Slot = side.Slot

// part is what the http side keeps for a whole configuration.
type part struct {
	prepared bool
	spool    *bodySpool
	bodyDirs []*BodyPath // to be made at start
}

func partOf(p *plan.Plan) *part { return plan.Part[part](p) }
