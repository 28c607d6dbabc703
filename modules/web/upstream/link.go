package upstream

import (
	"starling/admin"
	"starling/conf"
	"starling/plan"
	servers "starling/upstream"
	"starling/upstream/groups"
	"starling/web"
	"starling/web/forward"
)

func declared(p *plan.Plan) *declarations { return plan.Part[declarations](p) }

// link prepares the groups of the upstream blocks for requests, and gives the learned sessions their memory.
func link(p *plan.Plan) error {
	declared(p).slot = web.Side.NewSlot(p)
	problems := family.Link(p, func(g *groups.Group[*web.Request], s *Settings) {
		if keep := s.keepAlive(); keep.Connections > 0 {
			g.Pool = g.NewPool(keep, p.Clock)
			p.OnRetire(g.Pool.Close)
		}
		g.Binds = s.ntlm
		if s.queue != nil {
			g.SetQueue(s.queue.most, s.queue.timeout, p.Clock)
		}
		if s.sticky != nil {
			g.Sticky = s.sticky.use()
		}
	})
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

// resources are /http/upstreams, /http/caches and /starling/http/sessions.
func resources(p *plan.Plan) []admin.Resource {
	return []admin.Resource{family.Resource(p), forward.CacheResource(p), sessions(p)}
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

// use is the kind of the directive at request time.
func (s *sticky) use() groups.Sticky[*web.Request] {
	switch {
	case s.cookie != nil:
		return s.cookie
	case s.learn != nil:
		return s.learn
	}
	return &byRoute{s.route}
}
