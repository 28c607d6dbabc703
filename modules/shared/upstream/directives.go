// Package upstream is the part of the upstream blocks that http and stream share: how servers are declared, how names
// and balancers make groups of them, and their API resource. Each side adds the source of its variables and its own
// server parameters.
package upstream

import (
	"maps"

	"starling/admin"
	"starling/conf"
	"starling/lib/clock"
	"starling/plan"
	"starling/side"
	servers "starling/upstream"
	"starling/upstream/balance"
	"starling/upstream/groups"
)

// Options are the differences between the two sides. S are a side's settings of one block.
type Options[S any, C side.Subject] struct {
	Side *side.Side[C]
	// Block is the common part of the settings.
	Block func(*S) *Block[C]
	// Inside is the context inside the blocks, Around are the resolver settings of the enclosing block.
	Inside conf.Context
	Around func(*conf.Scope) plan.ResolverSettings
	// DefaultPort is that of servers given without one; 0 makes the port mandatory.
	DefaultPort uint16
	// Balancers are the methods that only this side has.
	Balancers balance.Side
	// ServerSyntax are the parameters of `server`, in the API too, that only this side has, and ServerParams explains
	// them.
	ServerSyntax string
	ServerParams map[string]string
	// Displace removes what a balancer declared below it disables, and reports whether there was any; nil if that
	// cannot occur.
	Displace func(*S) bool
	// Report is a group's state as the API shows it, Metrics are its figures.
	Report  func(*servers.Group, clock.Reading) any
	Metrics []admin.Metric
}

// Directives are `upstream` and the directives inside it of both sides, including the balancers.
func (o *Options[S, C]) Directives() []conf.Directive {
	all := o.blockDirectives()
	for _, m := range balance.Methods() {
		if m.Side == balance.BothSides || m.Side == o.Balancers {
			all = append(
				all,
				conf.Directive{
					Name:   m.Name,
					Syntax: m.Syntax,
					Doc:    m.Doc,
					Params: m.Params,
					In:     o.Inside,
					Repeat: !m.Once,
					Set:    o.setMethod(m),
				},
			)
		}
	}
	return all
}

func (o *Options[S, C]) blockDirectives() []conf.Directive {
	params, in := maps.Clone(bothServerParams), o.Inside
	maps.Copy(params, o.ServerParams)
	return []conf.Directive{
		{
			Name: "upstream", Syntax: "<name>", In: o.Side.Block, Opens: in, Repeat: true,
			Doc: "Defines a group of servers.", Set: groups.Declare[C],
		},
		{
			Name: "server", In: in, Repeat: true, OneMore: true, Params: params,
			Syntax: "<address> [weight=<number>] [max_conns=<number>] [max_fails=<number>] [fail_timeout=<time>] " +
				"[slow_start=<time>] [service=<name>] [backup] [down] [resolve]" + o.ServerSyntax,
			Doc: "Adds a server: an IP address or domain name with a port, or `unix:` and a path. A domain name " +
				"stands for all its addresses. In http, the default port is 80. With `resolve`, the name is " +
				"re-resolved at run time.",
			Set: conf.Raw(func(s *S, a *conf.Args) error { return o.Block(s).addServer(o.DefaultPort, a) }),
		}, {
			Name: "zone", Syntax: "<name> [<size>] [sync]", In: in, Params: zoneParams,
			Doc: "Sets the name of the group in the API, which can then change its servers. With `sync`, such a " +
				"change holds on all nodes of the cluster, and the zone has the changes; without it, the size has no " +
				"effect: there is only one process.",
			Set: conf.Raw(func(s *S, a *conf.Args) error { return o.Block(s).setZone(o.Side, a) }),
		}, {
			Name: "state", Syntax: "<file>", In: in,
			Doc: "Keeps the servers in a file, in place of `server` directives: changes through the API survive a " +
				"restart and a reload. The API acknowledges a change when it is on disk. The file need not exist; " +
				"it has `server` lines. Needs `zone`.",
			Set: conf.Raw(func(s *S, a *conf.Args) error { return o.Block(s).setState(a) }),
		}, {
			Name: "resolver", Syntax: plan.ResolverSyntax, Params: plan.ResolverParams, In: in,
			Unsupported: plan.ResolverUnsupported,
			Doc: "Sets the DNS servers for the servers with `resolve`. By default, the resolver of the enclosing " +
				"block is used.",
			Set: conf.Raw(func(s *S, a *conf.Args) error { return o.Block(s).Resolver.Set(a) }),
		}, {
			Name: "resolver_timeout", Syntax: "<time>", DefaultDoc: "30s", In: in,
			Doc: "Sets the timeout for name resolution.",
			Set: conf.Raw(func(s *S, a *conf.Args) error {
				t, err := conf.Time(a.Words[0])
				o.Block(s).ResolverTimeout = &t
				return err
			}),
		},
	}
}

// zoneParams explains the parameters of zone.
var zoneParams = map[string]string{
	"sync": "Shares what the API changes of the servers with the nodes of the cluster: servers that were added, " +
		"removed, drained or set down, and their parameters. The configuration of each node stays its own.",
}

func (o *Options[S, C]) setMethod(m balance.Method) conf.Setter {
	return conf.Raw(func(s *S, a *conf.Args) error {
		b := o.Block(s)
		displaced := o.Displace != nil && o.Displace(s)
		if b.Method != nil || displaced {
			a.Warn("load balancing method redefined")
		}
		balancer, err := m.New(a.Words)
		if err != nil {
			return err
		}
		b.Key = nil
		if m.Keyed {
			t, err := o.Side.Compile(a, a.Words[0])
			if err != nil {
				return err
			}
			b.Key = &t
		}
		b.Method, b.Balancer = &m, balancer
		return nil
	})
}

// Check returns what is wrong with a block.
func (o *Options[S, C]) Check(s *S, scope *conf.Scope) error {
	if scope.In != o.Inside {
		return nil
	}
	return o.Block(s).check(scope, o.Around(scope.Parent))
}
