package upstream

import (
	"fmt"
	"time"

	"starling/conf"
	"starling/plan"
	"starling/upstream/balance"
	"starling/upstreams"
	"starling/vars"
	"starling/web"
	"starling/web/groups"
)

// Settings of one upstream block.
type Settings struct {
	upstreams.Block
	keep         *int
	keepLocal    bool
	keepRequests *int
	keepTime     *time.Duration
	keepTimeout  *time.Duration
	key          *vars.Template[*web.Request]
	sticky       *sticky
}

// declarations are the upstream blocks of a configuration, in order.
type declarations struct {
	blocks []block
	// cookies are the sticky cookies, for the filter, and slot is where a request keeps the server it was sent to.
	cookies []*cookie
	slot    int
}

type block struct {
	group *groups.Group
	scope *conf.Scope
}

func declare(_ *Settings, a *conf.Args) error {
	p := web.PlanOf(a)
	g, err := groups.Of(p).Declare(a.Words[0], a.Node)
	if err != nil {
		return err
	}
	d := plan.Part[declarations](p)
	d.blocks = append(d.blocks, block{g, a.Inner})
	return nil
}

func setKeepAlive(s *Settings, a *conf.Args) error {
	n, err := conf.Number(a.Words[0])
	if err != nil {
		return fmt.Errorf("invalid value \"%s\" in \"keepalive\" directive", a.Words[0])
	}
	s.keep, s.keepLocal = &n, a.Has("local")
	return nil
}

func balancerSetter(m balance.Method) conf.Setter {
	return conf.Raw(func(s *Settings, a *conf.Args) error {
		if s.Method != nil || s.sticky != nil {
			a.Warn("load balancing method redefined")
		}
		// As in nginx, a method written below `sticky` puts it out of work.
		s.sticky, s.key = nil, nil
		b, err := m.New(a.Words)
		if err != nil {
			return err
		}
		if m.Keyed {
			key, err := web.CompileTemplate(a, a.Words[0])
			if err != nil {
				return err
			}
			s.key = &key
		}
		s.Method, s.Balancer = &m, b
		return nil
	})
}

// check says what a block lacks.
func check(s *Settings, scope *conf.Scope) error {
	if scope.In != conf.Upstream {
		return nil
	}
	return s.Check(scope, around(scope))
}

// around are the resolver settings of the http block around an upstream block.
func around(scope *conf.Scope) plan.ResolverSettings {
	return conf.SettingsOf[web.CoreSettings](scope.Parent).Resolver
}
