// Package groups knows the groups of servers of one configuration by name: those of upstream blocks and those that a proxied
// address stands for. The family that declares them and the families that send requests to them meet here.
package groups

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/lib/clock"
	"starling/plan"
	"starling/upstream"
	"starling/upstream/balance"
	"starling/vars"
	"starling/web"
)

// Group is a group of servers as requests see it.
type Group struct {
	*upstream.Group
	// Pool keeps idle connections; nil where none are kept.
	Pool *upstream.Pool
	// Key is the key of a hashing balancer, nil for the others.
	Key *vars.Template[*web.Request]
	// Sticky is nil without a sticky directive.
	Sticky Sticky
	// Resolves tells that servers may be given by names that are resolved at run time.
	Resolves bool
	// NoBackup tells that the balancer knows no backup servers.
	NoBackup bool
	// Declared tells an upstream block from an address of a proxied URL.
	Declared bool
	// Node is where it was declared or first named.
	Node *conf.Node

	port   uint16
	noPort bool
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

// Registry are the groups of one configuration. It is filled while the configuration is bound and only read afterwards.
type Registry struct{ all []*Group }

// Of is the registry of a configuration.
func Of(p *plan.Plan) *Registry { return plan.Part[Registry](p) }

// All are the groups in the order of their first mention.
func (g *Registry) All() []*Group { return g.all }

// Declare adds the group of an upstream block.
func (g *Registry) Declare(name string, node *conf.Node) (*Group, error) {
	for _, other := range g.all {
		if !strings.EqualFold(other.Name, name) {
			continue
		}
		if other.Declared {
			return nil, fmt.Errorf("duplicate upstream \"%s\"", name)
		}
		if !other.noPort {
			return nil, conf.At(other.Node, "upstream \"%s\" may not have port %d", name, other.port)
		}
	}
	n := &Group{Group: upstream.NewGroup(name, balance.RoundRobin{}), Declared: true, Node: node, noPort: true}
	g.all = append(g.all, n)
	return n, nil
}

// Refer finds the group that a literal URL means: an upstream block, or else one made of the addresses of its host, which are
// looked up at once. URLs of one host and port share a group.
func (g *Registry) Refer(t Target, node *conf.Node, now clock.Reading) (*Group, error) {
	for _, other := range g.all {
		switch {
		case !strings.EqualFold(other.Name, t.Name()):
		case other.Declared && !t.NoPort:
			return nil, fmt.Errorf("upstream \"%s\" may not have port %d", t.Host, t.Port)
		case other.Declared || other.port == t.Port:
			return other, nil
		}
	}
	addresses, err := t.Addresses()
	if err != nil {
		return nil, err
	}
	n := &Group{Group: upstream.NewGroup(t.Name(), balance.RoundRobin{}), Node: node, port: t.Port, noPort: t.NoPort}
	for _, a := range addresses {
		if _, err := n.Add(upstream.NewSettings(t.Text, a), now); err != nil {
			return nil, err
		}
	}
	g.all = append(g.all, n)
	return n, nil
}

// Find is Refer at run time, for URLs with variables: nil where the configuration has no such group.
func (g *Registry) Find(t *Target) *Group {
	for _, other := range g.all {
		if (other.Declared && t.NoPort || !other.Declared && other.port == t.Port) && strings.EqualFold(other.Name, t.Name()) {
			return other
		}
	}
	return nil
}
