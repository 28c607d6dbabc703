// Package groups knows the groups of servers of the stream side of one configuration by name. The family that declares them and
// those that send sessions to them meet here.
package groups

import (
	"starling/plan"
	"starling/stream"
	"starling/upstreams"
	"starling/vars"
)

// Group is a group of servers as sessions see it.
type Group struct {
	upstreams.Base
	// Key is the key of a hashing balancer, nil for the others.
	Key *vars.Template[*stream.Session]
}

// Registry are the groups of one configuration.
type Registry = upstreams.Registry[Group, *Group]

// Of is the registry of a configuration.
func Of(p *plan.Plan) *Registry { return plan.Part[Registry](p) }
