package upstreams

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/lib/clock"
	"starling/upstream"
	"starling/upstream/balance"
)

// Base is what the groups of both sides have; each side's type of a group embeds it.
type Base struct {
	*upstream.Group
	// Resolves tells that servers may be given by names that are resolved at run time.
	Resolves bool
	// NoBackup tells that the balancer knows no backup servers.
	NoBackup bool
	// Declared tells an upstream block from an address of proxy_pass.
	Declared bool
	// Node is where it was declared or first named, Scope the inside of its block, where it was declared.
	Node  *conf.Node
	Scope *conf.Scope

	port   uint16
	noPort bool
}

func (b *Base) base() *Base { return b }

// Member is a pointer to a type that embeds Base.
type Member[G any] interface {
	*G
	base() *Base
}

// Registry are the groups of one side of one configuration. It is filled while the configuration is bound and only read afterwards.
type Registry[G any, P Member[G]] struct{ all []P }

// All are the groups in the order of their first mention.
func (r *Registry[G, P]) All() []P { return r.all }

// declare adds the group of an upstream block.
func (r *Registry[G, P]) declare(a *conf.Args) (P, error) {
	name := a.Words[0]
	for _, g := range r.all {
		other := g.base()
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
	return r.add(Base{Group: upstream.NewGroup(name, balance.RoundRobin{}), Declared: true, Node: a.Node, Scope: a.Inner, noPort: true}), nil
}

func (r *Registry[G, P]) add(b Base) P {
	g := P(new(G))
	*g.base() = b
	r.all = append(r.all, g)
	return g
}

// Refer finds the group that a literal target means: an upstream block, or else one made of the addresses of its host, which are
// looked up at once. Targets of one host and port share a group.
func (r *Registry[G, P]) Refer(t Target, node *conf.Node, now clock.Reading) (P, error) {
	for _, g := range r.all {
		switch other := g.base(); {
		case !strings.EqualFold(other.Name, t.Name()):
		case other.Declared && !t.NoPort:
			return nil, fmt.Errorf("upstream \"%s\" may not have port %d", t.Host, t.Port)
		case other.Declared || other.port == t.Port:
			return g, nil
		}
	}
	addresses, err := t.Addresses()
	if err != nil {
		return nil, err
	}
	b := Base{Group: upstream.NewGroup(t.Name(), balance.RoundRobin{}), Node: node, port: t.Port, noPort: t.NoPort}
	for _, a := range addresses {
		if _, err := b.Add(upstream.NewSettings(t.Text, a), now); err != nil {
			return nil, err
		}
	}
	return r.add(b), nil
}

// Find is Refer at run time, for targets with variables: nil where the configuration has no such group.
func (r *Registry[G, P]) Find(t *Target) P {
	for _, g := range r.all {
		other := g.base()
		if (other.Declared && t.NoPort || !other.Declared && other.port == t.Port) && strings.EqualFold(other.Name, t.Name()) {
			return g
		}
	}
	return nil
}

// Named finds the group of an upstream block.
func (r *Registry[G, P]) Named(name string) P {
	for _, g := range r.all {
		if b := g.base(); b.Declared && b.Name == name {
			return g
		}
	}
	return nil
}
