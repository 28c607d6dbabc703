package upstream

import (
	"context"

	"starling/admin"
	"starling/conf"
	"starling/plan"
	servers "starling/upstream"
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
		var shared *member
		var err error
		if o.Block(s).Sync {
			shared, err = o.share(p, g, o.Block(s).Zone)
		}
		if err == nil {
			err = o.Block(s).link(p, g, old, o.Around(g.Scope.Parent), shared)
		}
		if err != nil {
			problems = append(problems, conf.At(g.Scope.Node, "%s in upstream \"%s\"", err, g.Name))
		}
	}
	return problems
}

// share makes a group one of a shared zone.
func (o *Options[S, C]) share(p *plan.Plan, g *groups.Group[C], z *plan.Zone) (*member, error) {
	r := &reader{params: o.ServerParams, defaultPort: o.DefaultPort}
	zone, err := shareZone(p, z, o.Side.Name, r)
	if err != nil {
		return nil, err
	}
	m := &member{
		reader: r, zone: zone, name: g.Name, group: g.Group, host: hostName(),
		node:    func() string { return p.NodeID },
		accepts: func(s *servers.Settings) *admin.APIError { return accepts(g, s) },
	}
	zone.members[g.Name] = m
	return m, nil
}

// link fills the group of a block with its servers and starts resolving their names. around are the resolver settings
// of the enclosing block; old is the group of the same name in the previous configuration, or nil. shared is the group
// for the cluster, nil if it is of this node alone.
func (b *Block[C]) link(
	p *plan.Plan,
	g, old *groups.Group[C],
	around plan.ResolverSettings,
	shared *member,
) error {
	now := p.Clock.Now()
	g.Key = b.Key
	if b.Balancer != nil {
		g.SetBalancer(b.Balancer)
	}
	if b.Method != nil {
		g.NoBackup = b.Method.NoBackup
	}
	if b.Zone != nil {
		g.ZoneName, g.ZoneBytes, g.Latency = b.Zone.Name, b.Zone.Bytes, p.Latency
	}
	lines := b.Servers
	if b.state != nil && shared != nil {
		own, kept, err := b.state.readOwn(shared.reader)
		if err != nil {
			return err
		}
		if kept {
			lines = linesOf(own)
		}
	}
	for i := range lines {
		for _, one := range lines[i].each() {
			if _, err := g.Add(one, now); err != nil {
				return err
			}
		}
	}
	if shared != nil {
		g.Share(shared)
	}
	if old != nil {
		if err := g.Inherit(old.Group, now); err != nil {
			return err
		}
	}
	if shared != nil && old != nil {
		g.KeepIDs(old.Group)
		// Now for the names that the API has added.
		p.OnStart(func(context.Context) error { return g.Inherit(old.Group, p.Clock.Now()) })
	}
	if b.state != nil {
		b.keepState(p, g, old, shared)
	}
	return b.resolve(p, g, around)
}

// linesOf are servers as the directives of a configuration.
func linesOf(list []servers.Settings) (lines []Line) {
	for _, s := range list {
		line := Line{Settings: s}
		if s.Host == "" {
			line.Addresses = []servers.Address{s.Addr}
		}
		lines = append(lines, line)
	}
	return lines
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
