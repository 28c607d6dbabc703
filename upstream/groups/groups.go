// Package groups knows the groups of servers of one configuration by name: those of upstream blocks and those that the
// address of a PREFIX_pass stands for. The family that declares groups and the families that send requests or sessions
// to them meet here.
package groups

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/lib/clock"
	"starling/plan"
	"starling/side"
	"starling/upstream"
	"starling/upstream/balance"
	"starling/vars"
)

// Group is a group of servers as the requests or sessions of one side see it.
type Group[C side.Subject] struct {
	*upstream.Group
	// Pool keeps idle connections; nil where none are kept, as always in stream.
	Pool *upstream.Pool
	// Key is the key of a hashing balancer, nil for the others.
	Key *vars.Template[C]
	// Sticky is nil without a sticky directive.
	Sticky Sticky[C]
	// Resolves tells that servers may be given by names that are resolved at run time.
	Resolves bool
	// NoBackup tells that the balancer knows no backup servers.
	NoBackup bool
	// Declared tells an upstream block from an address of PREFIX_pass.
	Declared bool
	// Node is where it was declared or first named, Scope the inside of its block, where it was declared.
	Node  *conf.Node
	Scope *conf.Scope

	port   uint16
	noPort bool
}

// Sticky sends the requests of a client to one server.
type Sticky[C side.Subject] interface {
	// AppendWanted appends the id of the server that the request asks for; false if it asks for none.
	AppendWanted(c C, dst []byte) ([]byte, bool)
	// Picked is told of each server that the request is sent to.
	Picked(c C, s *upstream.Server)
	// Accepted is told when the head of the response that the client will get has come, Ended when all of it was read.
	Accepted(c C, s *upstream.Server)
	Ended(c C, s *upstream.Server)
}

// List are the groups of one side of one configuration. It is filled while the configuration is bound and only read
// afterwards.
type List[C side.Subject] struct{ all []*Group[C] }

// Of is the list of a side in a configuration.
func Of[C side.Subject](p *plan.Plan) *List[C] { return plan.Part[List[C]](p) }

// All are the groups in the order of their first mention.
func (r *List[C]) All() []*Group[C] { return r.all }

// Declare adds the group of an upstream block. It is the setter of `upstream`.
func Declare[C side.Subject](_ any, a *conf.Args) error {
	name, r := a.Words[0], Of[C](side.PlanOf(a))
	for _, other := range r.all {
		if !strings.EqualFold(other.Name, name) {
			continue
		}
		if other.Declared {
			return fmt.Errorf("duplicate upstream \"%s\"", name)
		}
		if !other.noPort {
			return conf.At(other.Node, "upstream \"%s\" may not have port %d", name, other.port)
		}
	}
	r.add(
		&Group[C]{
			Group:    upstream.NewGroup(name, balance.RoundRobin{}),
			Declared: true,
			Node:     a.Node,
			Scope:    a.Inner,
			noPort:   true,
		},
	)
	return nil
}

func (r *List[C]) add(g *Group[C]) { r.all = append(r.all, g) }

// Refer finds the group that a literal target means: an upstream block, or else one made of the addresses of its host,
// which are looked up at once. Targets of one host and port share a group.
func (r *List[C]) Refer(t Target, at *conf.Node, now clock.Reading) (*Group[C], error) {
	for _, g := range r.all {
		switch {
		case !strings.EqualFold(g.Name, t.Name()):
		case g.Declared && !t.NoPort:
			return nil, fmt.Errorf("upstream \"%s\" may not have port %d", t.Host, t.Port)
		case g.Declared || g.port == t.Port:
			return g, nil
		}
	}
	addresses, err := t.Addresses()
	if err != nil {
		return nil, err
	}
	g, err := made[C](&t, addresses, now)
	if err != nil {
		return nil, err
	}
	g.Node = at
	r.add(g)
	return g, nil
}

// made is the group that a target stands for which no upstream block declares.
func made[C side.Subject](t *Target, addresses []upstream.Address, now clock.Reading) (*Group[C], error) {
	g := &Group[C]{Group: upstream.NewGroup(t.Name(), balance.RoundRobin{}), port: t.Port, noPort: t.NoPort}
	for _, a := range addresses {
		if _, err := g.Add(upstream.NewSettings(t.Text, a), now); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Find is Refer at run time, for targets with variables: nil where the configuration has no such group.
func (r *List[C]) Find(t *Target) *Group[C] {
	for _, g := range r.all {
		if (g.Declared && t.NoPort || !g.Declared && g.port == t.Port) && strings.EqualFold(g.Name, t.Name()) {
			return g
		}
	}
	return nil
}

// Named finds the group of an upstream block.
func (r *List[C]) Named(name string) *Group[C] {
	for _, g := range r.all {
		if g.Declared && g.Name == name {
			return g
		}
	}
	return nil
}
