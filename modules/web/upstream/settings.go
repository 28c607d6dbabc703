package upstream

import (
	"fmt"
	"strings"
	"time"

	"starling/conf"
	"starling/lib/units"
	"starling/plan"
	servers "starling/upstream"
	"starling/upstream/balance"
	"starling/vars"
	"starling/web"
	"starling/web/groups"
)

// Settings of one upstream block.
type Settings struct {
	servers         []serverLine
	zone            *plan.Zone
	keep            *int
	keepLocal       bool
	keepRequests    *int
	keepTime        *time.Duration
	keepTimeout     *time.Duration
	resolver        plan.ResolverSettings
	resolverTimeout *time.Duration
	method          *balance.Method
	balancer        servers.Balancer
	key             *vars.Template[*web.Request]
	sticky          *sticky
}

// serverLine is a server directive: one server for each address, or a template.
type serverLine struct {
	settings  servers.Settings
	addresses []servers.Address
}

// declarations are the upstream blocks of a configuration, in order.
type declarations struct {
	blocks []block
	// cookies are the sticky cookies, for the filter, and slot is where a request keeps the server it was sent to.
	cookies []*cookie
	slot    int
	// sessions are the zones of sticky learn.
	sessions map[string]*learn
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

const (
	maxRouteBytes = 32
	zoneUse       = "http upstream"
	// maxWeight keeps sums of weights far from overflow.
	maxWeight = 1 << 24
)

func addServer(s *Settings, a *conf.Args) error {
	if err := s.supports(a); err != nil {
		return err
	}
	set := servers.NewSettings(a.Words[0], servers.Address{})
	set.Backup, set.Down, set.Drain = a.Has("backup"), a.Has("down"), a.Has("drain")
	set.Down = set.Down && !set.Drain
	var err error
	number := func(name string, to *int, least, most int) {
		if err == nil && a.Has(name) {
			if *to, err = conf.Int(least, most)(a.Value(name)); err != nil {
				err = fmt.Errorf("invalid parameter \"%s=%s\"", name, a.Value(name))
			}
		}
	}
	period := func(name string, to *time.Duration) {
		if err == nil && a.Has(name) {
			if *to, err = units.Seconds(a.Value(name)); err != nil {
				err = fmt.Errorf("invalid parameter \"%s=%s\"", name, a.Value(name))
			}
		}
	}
	number("weight", &set.Weight, 1, maxWeight)
	number("max_conns", &set.MaxConns, 0, 1<<31-1)
	number("max_fails", &set.MaxFails, 0, 1<<31-1)
	period("fail_timeout", &set.FailTimeout)
	period("slow_start", &set.SlowStart)
	if err != nil {
		return err
	}
	if a.Has("route") {
		switch set.Route = a.Value("route"); {
		case set.Route == "":
			return fmt.Errorf("route is empty")
		case len(set.Route) > maxRouteBytes:
			return fmt.Errorf("route is longer than %d", maxRouteBytes)
		}
	}
	line, err := readServer(a, set)
	if err != nil {
		return err
	}
	if a.FirstWrite(&s.servers) {
		s.servers = nil
	}
	s.servers = append(s.servers, line)
	return nil
}

// readServer reads the address of a server; without `resolve` its name is looked up at once.
func readServer(a *conf.Args, set servers.Settings) (serverLine, error) {
	line := serverLine{settings: set}
	t, err := groups.ParseTarget(set.Name, 80, false)
	if err != nil {
		return line, err
	}
	literal, isLiteral := t.Literal()
	if a.Has("service") {
		switch {
		case a.Value("service") == "":
			return line, fmt.Errorf("service is empty")
		case !a.Has("resolve"):
			return line, fmt.Errorf("service upstream \"%s\" requires \"resolve\" parameter", set.Name)
		case !t.NoPort:
			return line, fmt.Errorf("service upstream \"%s\" may not have port", set.Name)
		case isLiteral:
			return line, fmt.Errorf("service upstream \"%s\" requires domain name", set.Name)
		}
		line.settings.Service = a.Value("service")
	}
	switch {
	case isLiteral:
		line.addresses = []servers.Address{literal}
	case a.Has("resolve"):
		line.settings.Host, line.settings.Port = t.Host, t.Port
	default:
		line.addresses, err = t.Addresses()
	}
	return line, err
}

// supports refuses parameters that the balancing method named above does not know.
func (s *Settings) supports(a *conf.Args) error {
	if s.method == nil {
		return nil
	}
	refused := map[string]bool{"backup": s.method.NoBackup, "slow_start": s.method.NoSlowStart}
	for _, word := range a.Words[1:] {
		name, _, _ := strings.Cut(word, "=")
		if refused[name] {
			return fmt.Errorf("balancing method does not support parameter \"%s\"", word)
		}
	}
	return nil
}

func setZone(s *Settings, a *conf.Args) (err error) {
	p, name := web.PlanOf(a), a.Words[0]
	if len(a.Words) == 1 {
		s.zone, err = p.Zones.Mention(name, zoneUse, a.Node.File, a.Node.Line)
		return err
	}
	size, err := units.Size(a.Words[1])
	if err != nil {
		return fmt.Errorf("invalid zone size \"%s\"", a.Words[1])
	}
	s.zone, err = p.Zones.Declare(name, zoneUse, size, a.Node.File, a.Node.Line)
	return err
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
		if s.method != nil || s.sticky != nil {
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
		s.method, s.balancer = &m, b
		return nil
	})
}

// check says what a block lacks.
func check(s *Settings, scope *conf.Scope) error {
	if scope.In != conf.Upstream {
		return nil
	}
	if len(s.servers) == 0 {
		return conf.AtEnd(scope.Node, "no servers are inside upstream")
	}
	name, resolves, primaries := scope.Words[0], false, false
	for _, line := range s.servers {
		resolves = resolves || line.settings.Host != ""
		primaries = primaries || !line.settings.Backup
	}
	switch {
	case resolves && s.zone == nil:
		return conf.Problems{{What: fmt.Sprintf("resolving names at run time requires upstream \"%s\" in %s:%d to be in shared memory",
			name, scope.Node.File, scope.Node.EndLine)}}
	case resolves && len(s.resolverFor(scope).Servers) == 0:
		return conf.At(scope.Node, "no resolver defined to resolve names at run time in upstream \"%s\"", name)
	case !primaries:
		return conf.At(scope.Node, "no servers in upstream \"%s\"", name)
	}
	return nil
}

// resolverFor are the block's own resolver settings, or else those of http.
func (s *Settings) resolverFor(scope *conf.Scope) plan.ResolverSettings {
	r := s.resolver
	if len(r.Servers) == 0 {
		r = conf.SettingsOf[web.CoreSettings](scope.Parent).Resolver
	}
	if s.resolverTimeout != nil {
		r.Timeout = *s.resolverTimeout
	}
	return r
}
