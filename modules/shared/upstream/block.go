package upstream

import (
	"fmt"
	"strings"
	"time"

	"starling/conf"
	"starling/nginx/units"
	"starling/plan"
	"starling/side"
	servers "starling/upstream"
	"starling/upstream/balance"
	"starling/upstream/groups"
	"starling/vars"
)

// Block are the settings of an upstream block on both sides.
type Block[C side.Subject] struct {
	Servers         []Line
	Zone            *plan.Zone
	Sync            bool // the cluster shares what the API changes
	Resolver        plan.ResolverSettings
	ResolverTimeout *time.Duration
	Method          *balance.Method
	Balancer        servers.Balancer
	Key             *vars.Template[C] // of a hashing balancer; nil for others

	state   *state // nil without `state`
	reading bool   // its file is being read
}

// Line is a server directive: one server for each address, or a template.
type Line struct {
	Settings  servers.Settings
	Addresses []servers.Address
}

// each are the servers and the template of a line.
func (l *Line) each() (list []servers.Settings) {
	if l.Settings.Host != "" {
		list = append(list, l.Settings)
	}
	for _, a := range l.Addresses {
		one := l.Settings
		one.Addr = a
		list = append(list, one)
	}
	return list
}

const (
	maxRouteBytes = 32
	// maxWeight keeps sums of weights far from overflow.
	maxWeight = 1 << 24
)

func (b *Block[C]) addServer(defaultPort uint16, a *conf.Args) error {
	if b.state != nil && !b.reading {
		return conf.Verdict("is incompatible with \"state\"")
	}
	if err := b.supports(a); err != nil {
		return err
	}
	seconds := units.Seconds
	if b.reading {
		seconds = anyTime
	}
	set, err := parameters(a, seconds)
	if err != nil {
		return err
	}
	line, err := readServer(defaultPort, a, set)
	if err != nil {
		return err
	}
	if a.FirstWrite(&b.Servers) {
		b.Servers = nil
	}
	b.Servers = append(b.Servers, line)
	return nil
}

// anyTime accepts the times that the API accepts too: some are not whole seconds.
func anyTime(text string) (time.Duration, error) {
	t, err := units.Seconds(text)
	if err != nil {
		t, err = units.Time(text)
	}
	return t, err
}

// parameters reads the parameters after the address of a server.
func parameters(a *conf.Args, seconds func(string) (time.Duration, error)) (servers.Settings, error) {
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
			if *to, err = seconds(a.Value(name)); err != nil {
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
		case !servers.ValidRoute(set.Route):
			err = fmt.Errorf(
				"invalid route \"%s\", spaces, quotes, commas, semicolons, backslashes and control characters are "+
					"not allowed",
				set.Route,
			)
		}
	}
	return set, err
}

// readServer reads the address of a server; without `resolve` its name is looked up immediately.
func readServer(defaultPort uint16, a *conf.Args, set servers.Settings) (Line, error) {
	line := Line{Settings: set}
	t, err := groups.ParseTarget(set.Name, defaultPort, false)
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
		return line, &groups.TargetError{What: "no port", Text: set.Name}
	}
	switch {
	case isLiteral:
		line.Addresses = []servers.Address{literal}
	case a.Has("resolve"):
		line.Settings.Host, line.Settings.Port = t.Host, t.Port
	default:
		line.Addresses, err = t.Addresses(set.Name)
	}
	return line, err
}

// supports rejects parameters that the balancing method declared above does not support.
func (b *Block[C]) supports(a *conf.Args) error {
	if b.Method == nil {
		return nil
	}
	for _, word := range a.Words[1:] {
		if word == "backup" && b.Method.NoBackup {
			return fmt.Errorf("balancing method does not support parameter \"%s\"", word)
		}
	}
	return nil
}

func (b *Block[C]) setZone(s *side.Side[C], a *conf.Args) (err error) {
	p, name, use := side.PlanOf(a), a.Words[0], s.Name+" upstream"
	words := a.Words[1:]
	if last := len(words) - 1; last >= 0 && words[last] == "sync" {
		b.Sync, words = true, words[:last]
	}
	if len(words) == 0 {
		b.Zone, err = p.Zones.Mention(name, use, a.Node.File, a.Node.Line)
	} else {
		size, invalid := units.Size(words[0])
		if invalid != nil {
			return fmt.Errorf("invalid zone size \"%s\"", words[0])
		}
		b.Zone, err = p.Zones.Declare(name, use, size, a.Node.File, a.Node.Line)
	}
	if err == nil && b.Sync {
		b.Zone.Sync = true // some of the upstream blocks of a zone can have it, and others not
	}
	return err
}

// check returns what is wrong with a block. around are the resolver settings of the enclosing block.
func (b *Block[C]) check(scope *conf.Scope, around plan.ResolverSettings) error {
	switch name := scope.Words[0]; {
	case b.Sync && strings.Contains(name, " "):
		return conf.At(scope.Node, "upstream \"%s\" cannot be shared: its name has a space", name)
	case b.Sync && len(name) > maxUpstreamBytes:
		return conf.At(scope.Node, "upstream \"%s\" cannot be shared: its name is longer than %d bytes", name,
			maxUpstreamBytes)
	}
	if b.state != nil && b.Zone == nil {
		return conf.At(b.state.node, "\"state\" requires upstream \"%s\" in %s:%d to be in shared memory",
			scope.Words[0], scope.Node.File, scope.Node.EndLine)
	}
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
		return conf.Problems{
			{What: fmt.Sprintf("resolving names at run time requires upstream \"%s\" in %s:%d to be in shared memory",
				name, scope.Node.File, scope.Node.EndLine)},
		}
	case resolves && len(b.resolverFor(around).Servers) == 0:
		return conf.At(scope.Node, "no resolver defined to resolve names at run time in upstream \"%s\"", name)
	case !primaries && b.state == nil: // the API may add some
		return conf.At(scope.Node, "no servers in upstream \"%s\"", name)
	}
	return nil
}

// resolverFor are the block's own resolver settings, or those of the enclosing block.
func (b *Block[C]) resolverFor(around plan.ResolverSettings) plan.ResolverSettings {
	r := b.Resolver
	if len(r.Servers) == 0 {
		r = around
	}
	if b.ResolverTimeout != nil {
		r.Timeout = *b.ResolverTimeout
	}
	return r
}

// bothServerParams explains the parameters of server on both sides.
var bothServerParams = map[string]string{
	"weight":    "Weight of the server, 1 by default.",
	"max_conns": "Maximum number of concurrent connections to the server; 0 (default) sets no limit.",
	"max_fails": "Number of failed attempts within `fail_timeout` that make the server unavailable, 1 by default; " +
		"0 disables the check.",
	"fail_timeout": "Time during which failures are counted, and for which the server is then unavailable; 10s by " +
		"default.",
	"slow_start": "Time during which a recovered server ramps up to its weight; with `hash` and `ip_hash`, its keys " +
		"return to it one by one.",
	"service": "Looks up SRV records of this service name; needs `resolve`.",
	"backup":  "Backup server, used only when the primary servers are unavailable.",
	"down":    "Marks the server as permanently unavailable.",
	"resolve": "Re-resolves the name at run time.",
}
