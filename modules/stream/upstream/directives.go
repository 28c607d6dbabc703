// Package upstream is the upstream block of stream: groups of servers and how sessions are spread over them.
package upstream

import (
	"starling/admin"
	"starling/conf"
	"starling/plan"
	"starling/stream"
	"starling/stream/groups"
	"starling/upstreams"
	"starling/vars"
)

// Settings of one upstream block.
type Settings struct {
	upstreams.Block
	key *vars.Template[*stream.Session]
}

// family is stream's half of the upstream blocks.
var family = &upstreams.Family[Settings, *stream.Session]{
	Side:      upstreams.Stream,
	Block:     func(s *Settings) *upstreams.Block { return &s.Block },
	Key:       func(s *Settings) **vars.Template[*stream.Session] { return &s.key },
	Variables: stream.Side.Variables,
	Around: func(outer *conf.Scope) plan.ResolverSettings {
		return conf.SettingsOf[stream.CoreSettings](outer).Resolver
	},
}

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:  "upstream",
		Doc:   "Groups of servers that proxy_pass sends sessions to.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: append([]conf.Directive{{
			Name: "upstream", Syntax: "<name>", In: conf.Stream, Opens: conf.StreamUpstream, Repeat: true,
			Doc: "Declares a group of servers.", Set: upstreams.Declare(groups.Of),
		}}, family.Directives()...),
		Check: conf.CheckOf(family.Check),
	},
	Link: link,
	API: func(p *plan.Plan) []admin.Resource {
		return []admin.Resource{upstreams.Resource(p, upstreams.Stream, groups.Of(p).All())}
	},
}

// link makes the groups of the upstream blocks ready for sessions.
func link(p *plan.Plan) error {
	problems := upstreams.Link(family, p, groups.Of, func(g *groups.Group, s *Settings) { g.Key = s.key })
	if len(problems) > 0 {
		return problems
	}
	return nil
}
