package upstream

import (
	"context"

	"starling/conf"
	"starling/plan"
	"starling/upstream/groups"
)

// Link prepares the groups of the upstream blocks. own is called first, for the parts that only this side's groups
// have; it may be nil.
func (o *Options[S, C]) Link(p *plan.Plan, own func(*groups.Group[C], *S)) (problems conf.Problems) {
	for _, g := range groups.Of[C](p).All() {
		if !g.Declared {
			continue
		}
		s := conf.SettingsOf[S](g.Scope)
		if own != nil {
			own(g, s)
		}
		old := plan.Before[groups.List[C]](p).Named(g.Name)
		if err := o.Block(s).link(p, g, old, o.Around(g.Scope.Parent)); err != nil {
			problems = append(problems, conf.At(g.Scope.Node, "%s in upstream \"%s\"", err, g.Name))
		}
	}
	return problems
}

// link fills the group of a block with its servers and starts resolving their names. around are the resolver settings
// of the enclosing block; old is the group of the same name in the previous configuration, or nil.
func (b *Block[C]) link(p *plan.Plan, g, old *groups.Group[C], around plan.ResolverSettings) error {
	now := p.Clock.Now()
	g.Key = b.Key
	if b.Balancer != nil {
		g.SetBalancer(b.Balancer)
	}
	if b.Method != nil {
		g.NoBackup, g.NoSlowStart = b.Method.NoBackup, b.Method.NoSlowStart
	}
	if b.Zone != nil {
		g.ZoneName, g.ZoneBytes, g.Latency = b.Zone.Name, b.Zone.Bytes, p.Latency
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
	if b.state != nil {
		b.keepState(p, g, old)
	}
	return b.resolve(p, g, around)
}

// resolve starts resolving the names of the servers; without names it waits for servers that the API adds.
func (b *Block[C]) resolve(p *plan.Plan, g *groups.Group[C], around plan.ResolverSettings) error {
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
