package upstreams

import (
	"context"

	"starling/plan"
)

// link fills the group of a block with its servers and starts what asks for their names. around are the resolver settings of the
// block around it; old is the group of the same name in the configuration before, or nil.
func (b *Block) link(p *plan.Plan, g, old *Base, around plan.ResolverSettings) error {
	now := p.Clock.Now()
	if b.Balancer != nil {
		g.SetBalancer(b.Balancer)
	}
	g.NoBackup = b.Method != nil && b.Method.NoBackup
	if b.Zone != nil {
		g.ZoneName, g.ZoneBytes = b.Zone.Name, b.Zone.Bytes
	}
	for _, line := range b.Servers {
		if line.Settings.Host != "" {
			if _, err := g.Add(line.Settings, now); err != nil {
				return err
			}
		}
		for _, a := range line.Addresses {
			one := line.Settings
			one.Addr = a
			if _, err := g.Add(one, now); err != nil {
				return err
			}
		}
	}
	if old != nil {
		if err := g.Inherit(old.Group, now); err != nil {
			return err
		}
	}
	return b.resolve(p, g, around)
}

// resolve starts what asks for the names of the servers; without any it waits for those that the API adds.
func (b *Block) resolve(p *plan.Plan, g *Base, around plan.ResolverSettings) error {
	if b.Zone == nil {
		return nil
	}
	r, err := p.Resolver(b.resolverFor(around))
	if err != nil || r == nil {
		return err
	}
	g.Resolves = true
	p.OnStart(func(ctx context.Context) error {
		go g.Resolve(ctx, r, p.Clock, p.Log)
		return nil
	})
	return nil
}

// before finds the group of an upstream block in the configuration that a plan follows, nil where there is none.
func before[G any, P Member[G]](p *plan.Plan, of func(*plan.Plan) *Registry[G, P], name string) *Base {
	if p.Old == nil {
		return nil
	}
	if g := of(p.Old).Named(name); g != nil {
		return g.base()
	}
	return nil
}
