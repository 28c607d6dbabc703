package upstream

import (
	"context"

	"starling/conf"
	"starling/plan"
	servers "starling/upstream"
	"starling/web"
	"starling/web/groups"
)

func declared(p *plan.Plan) *declarations { return plan.Part[declarations](p) }

// link makes the groups of the upstream blocks ready for requests.
func link(p *plan.Plan) error {
	d := declared(p)
	d.slot = web.NewSlot(p)
	var problems conf.Problems
	for _, b := range d.blocks {
		if err := b.link(p); err != nil {
			problems = append(problems, conf.At(b.scope.Node, "%s in upstream \"%s\"", err, b.group.Name))
		}
	}
	for _, z := range p.Zones.All() {
		if l, ok := z.Value.(*learn); ok {
			if err := l.link(p); err != nil {
				problems = append(problems, conf.At(l.node, "%s", err))
			}
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

func (b *block) link(p *plan.Plan) error {
	s := conf.SettingsOf[Settings](b.scope)
	g, now := b.group, p.Clock.Now()
	if s.balancer != nil {
		g.SetBalancer(s.balancer)
	}
	g.Key = s.key
	g.NoBackup = s.method != nil && s.method.NoBackup
	if s.zone != nil {
		g.ZoneName, g.ZoneBytes = s.zone.Name, s.zone.Bytes
	}
	for _, line := range s.servers {
		if line.settings.Host != "" {
			if _, err := g.Add(line.settings, now); err != nil {
				return err
			}
		}
		for _, a := range line.addresses {
			one := line.settings
			one.Addr = a
			if _, err := g.Add(one, now); err != nil {
				return err
			}
		}
	}
	if keep := s.keepAlive(); keep.Connections > 0 {
		g.Pool = g.NewPool(keep, p.Clock)
		p.OnRetire(g.Pool.Close)
	}
	if s.sticky != nil {
		g.Sticky = s.sticky.use()
	}
	if old := oldGroup(p, g.Name); old != nil {
		if err := g.Inherit(old.Group, now); err != nil {
			return err
		}
	}
	return b.resolve(p, s)
}

// resolve starts what asks for the names of the servers; without any it waits for those that the API adds.
func (b *block) resolve(p *plan.Plan, s *Settings) error {
	if s.zone == nil {
		return nil
	}
	r, err := p.Resolver(s.resolverFor(b.scope))
	if err != nil || r == nil {
		return err
	}
	b.group.Resolves = true
	p.OnStart(func(ctx context.Context) error {
		go b.group.Resolve(ctx, r, p.Clock, p.Log)
		return nil
	})
	return nil
}

func oldGroup(p *plan.Plan, name string) *groups.Group {
	if p.Old == nil {
		return nil
	}
	for _, g := range groups.Of(p.Old).All() {
		if g.Declared && g.Name == name {
			return g
		}
	}
	return nil
}

func (s *Settings) keepAlive() servers.KeepAlive {
	k := servers.DefaultKeepAlive()
	if s.keep != nil {
		k.Connections, k.Local = *s.keep, s.keepLocal
	}
	if s.keepRequests != nil {
		k.Requests = *s.keepRequests
	}
	if s.keepTime != nil {
		k.Time = *s.keepTime
	}
	if s.keepTimeout != nil {
		k.Timeout = *s.keepTimeout
	}
	return k
}

// use is the directive's kind as requests see it.
func (s *sticky) use() groups.Sticky {
	switch {
	case s.cookie != nil:
		return s.cookie
	case s.learn != nil:
		return s.learn
	}
	return &byRoute{s.route}
}
