// Package upstreams is what the upstream blocks of http and stream have in common: how servers are written, the groups by name,
// and their resource of the API.
package upstreams

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"starling/conf"
	"starling/nginx/units"
	"starling/plan"
	"starling/upstream"
	"starling/upstream/balance"
)

// Side is the half of the configuration that a block stands in.
type Side struct {
	// Name is "http" or "stream", as in the paths of the API.
	Name string
	// DefaultPort is that of servers given without one; 0 makes the port mandatory.
	DefaultPort uint16
	// Upstream is the context of the blocks' inside.
	Upstream conf.Context

	balancers balance.Side
}

// The sides.
var (
	HTTP   = Side{Name: "http", DefaultPort: 80, Upstream: conf.Upstream, balancers: balance.HTTPOnly}
	Stream = Side{Name: "stream", Upstream: conf.StreamUpstream, balancers: balance.StreamOnly}
)

// Block are the settings of an upstream block that both sides have.
type Block struct {
	Servers         []Line
	Zone            *plan.Zone
	Resolver        plan.ResolverSettings
	ResolverTimeout *time.Duration
	Method          *balance.Method
	Balancer        upstream.Balancer
}

// Line is a server directive: one server for each address, or a template.
type Line struct {
	Settings  upstream.Settings
	Addresses []upstream.Address
}

// directives are those of the inside of a block that both sides have. place finds the Block in a module's settings; serverSyntax and serverParams are
// the parameters of server that only this side has.
func directives[S any](side Side, place func(*S) *Block, serverSyntax string, serverParams map[string]string) []conf.Directive {
	params := maps.Clone(bothServerParams)
	maps.Copy(params, serverParams)
	in := side.Upstream
	return []conf.Directive{
		{
			Name: "server", In: in, Repeat: true, OneMore: true, Params: params,
			Syntax: "<address> [weight=<number>] [max_conns=<number>] [max_fails=<number>] [fail_timeout=<time>] " +
				"[slow_start=<time>] [service=<name>] [backup] [down] [resolve]" + serverSyntax,
			Doc: "Adds a server: an address with a port, a name, which stands for all its addresses, or `unix:` and a path. " +
				"In http the port is 80 if none is given. " +
				"A name with `resolve` is asked of the resolver again and again while the group runs.",
			Set: conf.Raw(func(s *S, a *conf.Args) error { return place(s).addServer(side, a) }),
		}, {
			Name: "zone", Syntax: "<name> [<size>]", In: in,
			Doc: "Names the group for the API, which may then change its servers. There is one process, so the size does not limit it.",
			Set: conf.Raw(func(s *S, a *conf.Args) error { return place(s).setZone(side, a) }),
		}, {
			Name: "resolver", Syntax: plan.ResolverSyntax, Params: plan.ResolverParams, In: in, Unsupported: plan.ResolverUnsupported,
			Doc: "Sets the DNS servers for the group's servers with `resolve`; without it those of the block around are asked.",
			Set: conf.Raw(func(s *S, a *conf.Args) error { return place(s).Resolver.Set(a) }),
		}, {
			Name: "resolver_timeout", Syntax: "<time>", DefaultDoc: "30s", In: in, Doc: "Sets how long a name may take to resolve.",
			Set: conf.Raw(func(s *S, a *conf.Args) error {
				t, err := conf.Time(a.Words[0])
				place(s).ResolverTimeout = &t
				return err
			}),
		},
	}
}

const (
	maxRouteBytes = 32
	// maxWeight keeps sums of weights far from overflow.
	maxWeight = 1 << 24
)

func (b *Block) addServer(side Side, a *conf.Args) error {
	if err := b.supports(a); err != nil {
		return err
	}
	set, err := parameters(a)
	if err != nil {
		return err
	}
	line, err := readServer(side, a, set)
	if err != nil {
		return err
	}
	if a.FirstWrite(&b.Servers) {
		b.Servers = nil
	}
	b.Servers = append(b.Servers, line)
	return nil
}

// parameters reads what stands behind the address of a server.
func parameters(a *conf.Args) (upstream.Settings, error) {
	set := upstream.NewSettings(a.Words[0], upstream.Address{})
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
	if err == nil && a.Has("route") {
		switch set.Route = a.Value("route"); {
		case set.Route == "":
			err = fmt.Errorf("route is empty")
		case len(set.Route) > maxRouteBytes:
			err = fmt.Errorf("route is longer than %d", maxRouteBytes)
		case !upstream.ValidRoute(set.Route):
			err = fmt.Errorf("invalid route \"%s\", it may have only what may stand in a cookie: no spaces, quotes, commas, semicolons, backslashes, controls",
				set.Route)
		}
	}
	return set, err
}

// readServer reads the address of a server; without `resolve` its name is looked up at once.
func readServer(side Side, a *conf.Args, set upstream.Settings) (Line, error) {
	line := Line{Settings: set}
	t, err := ParseTarget(set.Name, side.DefaultPort, false)
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
		line.Settings.Service = a.Value("service")
	}
	if t.Port == 0 && !t.Unix && !a.Has("service") {
		return line, &TargetError{"no port", set.Name}
	}
	switch {
	case isLiteral:
		line.Addresses = []upstream.Address{literal}
	case a.Has("resolve"):
		line.Settings.Host, line.Settings.Port = t.Host, t.Port
	default:
		line.Addresses, err = t.Addresses()
	}
	return line, err
}

// supports refuses parameters that the balancing method named above does not know.
func (b *Block) supports(a *conf.Args) error {
	if b.Method == nil {
		return nil
	}
	refused := map[string]bool{"backup": b.Method.NoBackup, "slow_start": b.Method.NoSlowStart}
	for _, word := range a.Words[1:] {
		name, _, _ := strings.Cut(word, "=")
		if refused[name] {
			return fmt.Errorf("balancing method does not support parameter \"%s\"", word)
		}
	}
	return nil
}

func (b *Block) setZone(side Side, a *conf.Args) (err error) {
	p, name, use := a.Env.(*plan.Plan), a.Words[0], side.Name+" upstream"
	if len(a.Words) == 1 {
		b.Zone, err = p.Zones.Mention(name, use, a.Node.File, a.Node.Line)
		return err
	}
	size, err := units.Size(a.Words[1])
	if err != nil {
		return fmt.Errorf("invalid zone size \"%s\"", a.Words[1])
	}
	b.Zone, err = p.Zones.Declare(name, use, size, a.Node.File, a.Node.Line)
	return err
}

// check says what a block lacks. around are the resolver settings of the block around it.
func (b *Block) check(scope *conf.Scope, around plan.ResolverSettings) error {
	if len(b.Servers) == 0 {
		if b.Zone != nil {
			return nil // the API adds some
		}
		return conf.AtEnd(scope.Node, "no servers are inside upstream")
	}
	name, resolves, primaries := scope.Words[0], false, false
	for _, line := range b.Servers {
		resolves = resolves || line.Settings.Host != ""
		primaries = primaries || !line.Settings.Backup
	}
	switch {
	case resolves && b.Zone == nil:
		return conf.Problems{{What: fmt.Sprintf("resolving names at run time requires upstream \"%s\" in %s:%d to be in shared memory",
			name, scope.Node.File, scope.Node.EndLine)}}
	case resolves && len(b.resolverFor(around).Servers) == 0:
		return conf.At(scope.Node, "no resolver defined to resolve names at run time in upstream \"%s\"", name)
	case !primaries:
		return conf.At(scope.Node, "no servers in upstream \"%s\"", name)
	}
	return nil
}

// resolverFor are the block's own resolver settings, or else those around.
func (b *Block) resolverFor(around plan.ResolverSettings) plan.ResolverSettings {
	r := b.Resolver
	if len(r.Servers) == 0 {
		r = around
	}
	if b.ResolverTimeout != nil {
		r.Timeout = *b.ResolverTimeout
	}
	return r
}

// bothServerParams explains the parameters of server that both sides have.
var bothServerParams = map[string]string{
	"weight":       "Share of the server among the others; 1 if not given.",
	"max_conns":    "Most connections to the server at once; 0, the default, sets no limit.",
	"max_fails":    "Failed tries within `fail_timeout` that make the server unavailable; 1 if not given, 0 never.",
	"fail_timeout": "Time in which failures are counted, and for which the server is then unavailable; 10s if not given.",
	"slow_start":   "Time in which a recovered server gets back to its weight.",
	"service":      "Looks up SRV records of this service name; needs `resolve`.",
	"backup":       "The server is used only while no other is available.",
	"down":         "The server is not used.",
	"resolve":      "The name is resolved again while the group runs.",
}
