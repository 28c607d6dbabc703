// Package groups has the groups of servers of one configuration by name: those of upstream blocks and those for
// addresses in PREFIX_pass. It connects the family that declares groups with the families that use them.
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

// Group is a group of servers for the requests or sessions of one side.
type Group[C side.Subject] struct {
	*upstream.Group
	// Pool has idle connections; nil if none are kept, as always in stream.
	Pool *upstream.Pool
	// Key is the key of a hashing balancer, nil for the others.
	Key *vars.Template[C]
	// Sticky is nil without a sticky directive.
	Sticky Sticky[C]
	// Binds means that a connection belongs to the client that authenticates over it (ntlm).
	Binds bool
	// Resolves means that servers can be names that are resolved at run time.
	Resolves bool
	// NoBackup means that the balancer does not support backup servers.
	NoBackup bool
	// Declared distinguishes an upstream block from an address of PREFIX_pass.
	Declared bool
	// Node is the directive that declared or first used it, Scope the contents of its block, if it has one.
	Node  *conf.Node
	Scope *conf.Scope

	port   uint16
	noPort bool
}

// Sticky sends the requests of a client to one server.
type Sticky[C side.Subject] interface {
	// AppendWanted appends the id of the request's server; false if it has none.
	AppendWanted(c C, dst []byte) ([]byte, bool)
	// Picked is called for each server to which the request is sent.
	Picked(c C, s *upstream.Server)
	// Accepted is called when the head of the accepted response has arrived, Ended when all of it was read.
	Accepted(c C, s *upstream.Server)
	Ended(c C, s *upstream.Server)
}

// List has the groups of one side of one configuration. It is filled while the configuration is bound and only read
// afterwards.
type List[C side.Subject] struct{ all []*Group[C] }

// Of is the list of a side in a configuration.
func Of[C side.Subject](p *plan.Plan) *List[C] { return plan.Part[List[C]](p) }

// All are the groups in the order of their first use.
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

// Refer finds the group for a literal target: an upstream block, otherwise one with the addresses of its host, which
// are resolved immediately. Targets with one host and port share a group.
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
	addresses, err := t.Addresses(t.Host)
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

// made is the group of a target that is not an upstream block.
func made[C side.Subject](t *Target, addresses []upstream.Address, now clock.Reading) (*Group[C], error) {
	g := &Group[C]{Group: upstream.NewGroup(t.Name(), balance.RoundRobin{}), port: t.Port, noPort: t.NoPort}
	for _, a := range addresses {
		if _, err := g.Add(upstream.NewSettings(t.Text, a), now); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Find is Refer at run time, for targets with variables: nil if the configuration has no such group.
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
