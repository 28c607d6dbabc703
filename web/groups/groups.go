// Package groups knows the groups of servers of one configuration by name: those of upstream blocks and those that a proxied
// address stands for. The family that declares them and the families that send requests to them meet here.
package groups

import (
	"starling/plan"
	"starling/upstream"
	"starling/upstreams"
	"starling/vars"
	"starling/web"
)

// Group is a group of servers as requests see it.
type Group struct {
	upstreams.Base
	// Pool keeps idle connections; nil where none are kept.
	Pool *upstream.Pool
	// Key is the key of a hashing balancer, nil for the others.
	Key *vars.Template[*web.Request]
	// Sticky is nil without a sticky directive.
	Sticky Sticky
}

// Sticky sends the requests of a client to one server.
type Sticky interface {
	// AppendWanted appends the id of the server that the request asks for; false if it asks for none.
	AppendWanted(r *web.Request, dst []byte) ([]byte, bool)
	// Picked is told of each server that the request is sent to.
	Picked(r *web.Request, s *upstream.Server)
	// Accepted is told when the head of the response that the client will get has come, Ended when all of it was read.
	Accepted(r *web.Request, s *upstream.Server)
	Ended(r *web.Request, s *upstream.Server)
}

// Registry are the groups of one configuration.
type Registry = upstreams.Registry[Group, *Group]

// Of is the registry of a configuration.
func Of(p *plan.Plan) *Registry { return plan.Part[Registry](p) }
