// Package upstream is the upstream block of stream: groups of servers and how sessions are spread over them.
package upstream

import (
	"starling/conf"
	"starling/observe"
	"starling/plan"
	"starling/stream"
	"starling/stream/groups"
	"starling/upstream/balance"
	"starling/upstreams"
	"starling/vars"
)

// Settings of one upstream block.
type Settings struct {
	upstreams.Block
	key *vars.Template[*stream.Session]
}

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:       "upstream",
		Doc:        "Groups of servers that proxy_pass sends sessions to.",
		New:        conf.NewOf[Settings],
		Clone:      conf.CloneOf[Settings],
		Directives: directives(),
		Check:      conf.CheckOf(check),
	},
	Link: link,
	API: func(p *plan.Plan) []observe.Resource {
		return []observe.Resource{upstreams.Resource(p, upstreams.Stream, groups.Of(p).All())}
	},
}

func directives() []conf.Directive {
	all := []conf.Directive{{
		Name: "upstream", Syntax: "<name>", In: conf.Stream, Opens: conf.StreamUpstream, Repeat: true,
		Doc: "Declares a group of servers.", Set: conf.Raw(declare),
	}}
	all = append(all, upstreams.Directives(upstreams.Stream, func(s *Settings) *upstreams.Block { return &s.Block }, "")...)
	for _, m := range balance.Methods() {
		if m.Side != balance.HTTPOnly {
			all = append(all, conf.Directive{Name: m.Name, Syntax: m.Syntax, Doc: m.Doc, In: conf.StreamUpstream, Set: balancerSetter(m)})
		}
	}
	return all
}

// declarations are the upstream blocks of a configuration, in order.
type declarations struct{ blocks []block }

type block struct {
	group *groups.Group
	scope *conf.Scope
}

func declare(_ *Settings, a *conf.Args) error {
	p := stream.PlanOf(a)
	g, err := groups.Of(p).Declare(a.Words[0], a.Node)
	if err != nil {
		return err
	}
	d := plan.Part[declarations](p)
	d.blocks = append(d.blocks, block{g, a.Inner})
	return nil
}

func balancerSetter(m balance.Method) conf.Setter {
	return conf.Raw(func(s *Settings, a *conf.Args) error {
		if s.Method != nil {
			a.Warn("load balancing method redefined")
		}
		b, err := m.New(a.Words)
		if err != nil {
			return err
		}
		s.key = nil
		if m.Keyed {
			key, err := stream.CompileTemplate(a, a.Words[0])
			if err != nil {
				return err
			}
			s.key = &key
		}
		s.Method, s.Balancer = &m, b
		return nil
	})
}

func check(s *Settings, scope *conf.Scope) error {
	if scope.In != conf.StreamUpstream {
		return nil
	}
	return s.Check(scope, around(scope))
}

// around are the resolver settings of the stream block around an upstream block.
func around(scope *conf.Scope) plan.ResolverSettings {
	return conf.SettingsOf[stream.CoreSettings](scope.Parent).Resolver
}

// link makes the groups of the upstream blocks ready for sessions.
func link(p *plan.Plan) error {
	var problems conf.Problems
	for _, b := range plan.Part[declarations](p).blocks {
		s := conf.SettingsOf[Settings](b.scope)
		b.group.Key = s.key
		if err := s.Link(p, &b.group.Base, upstreams.Before(p, groups.Of, b.group.Name), around(b.scope)); err != nil {
			problems = append(problems, conf.At(b.scope.Node, "%s in upstream \"%s\"", err, b.group.Name))
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}
