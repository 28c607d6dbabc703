package web

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"starling/admin"
	"starling/conf"
	"starling/logs"
	"starling/nginx/sockaddr"
	"starling/plan"
	"starling/web/h1"
)

// Site is the http side of one configuration, ready to serve.
type Site struct {
	plan      *plan.Plan
	ports     []*Port
	servers   []*Server
	resources []admin.Resource
	slots     int
	dates     h1.DateClock
	times     logs.TimeCache
	hostname  string
	traffic   *plan.Traffic // goes on over reloads
	spool     *bodySpool    // likewise

	// context ends when the site is closed by force.
	context context.Context
	cancel  context.CancelFunc

	mu       sync.Mutex
	conns    map[*Conn]struct{}
	expected int // connections announced that are not among conns yet
	hangups  siteHangups
	retired  atomic.Bool
	closed   atomic.Bool
	drained  chan struct{}
}

// Requests gives the requests that the process has begun, and those in progress.
func (s *Site) Requests() (total, current int64) {
	return int64(s.traffic.Requests.Load()), s.traffic.Current.Load()
}

// Port is one address that a Site listens on. The cycle owns the listener and calls Serve; where a wildcard's socket
// takes the connections of a specific address too, it chooses the Port by the connection's own address.
type Port struct {
	Addr    sockaddr.Addr
	Options sockaddr.Options

	site  *Site
	hosts *vhosts
}

// Prepare declares the modules' variables; call it before the configuration is bound.
func Prepare(p *plan.Plan, modules []*Module) error {
	w := partOf(p)
	if w.prepared {
		return nil
	}
	w.prepared = true
	for _, m := range modules {
		for _, v := range m.Variables {
			if err := Side.Variables(p).Declare(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// Build makes the http side from its bound block: modules are linked, then servers and locations are made from the
// inside of their scopes. Its error is a conf.Problems or a *conf.Problem.
func Build(p *plan.Plan, http *conf.Scope, modules []*Module) (*Site, error) {
	b := &builder{modules: modules, plan: p, defaults: map[*vhosts]bool{}}
	if err := Prepare(p, modules); err != nil {
		return nil, conf.At(http.Node, "%s", err)
	}
	for _, m := range modules {
		if m.Link == nil {
			continue
		}
		if err := m.Link(p); err != nil {
			b.problem(http.Node, err)
		}
	}
	b.site = &Site{plan: p, conns: map[*Conn]struct{}{}, drained: make(chan struct{}), traffic: p.Traffic(), spool: spoolOf(p), hostname: hostname()}
	b.site.context, b.site.cancel = context.WithCancel(context.Background())
	for _, scope := range http.All("server") {
		s, err := b.server(scope)
		if err != nil {
			b.problem(scope.Node, err)
			continue
		}
		b.site.servers = append(b.site.servers, s)
	}
	b.problems = append(b.problems, Side.Unknown(p)...)
	if len(b.problems) == 0 {
		b.listen()
	}
	if len(b.problems) > 0 {
		b.problems.Sort()
		return nil, b.problems
	}
	p.OnStart(func(context.Context) error { return makeBodyDirs(p) })
	p.OnOwner(func(uid, gid int) []error { return giveBodyDirs(p, uid, gid) })
	b.site.slots = Side.Slots(p)
	for _, m := range modules {
		if m.API != nil {
			b.site.resources = append(b.site.resources, m.API(p)...)
		}
	}
	return b.site, nil
}

// placed gives an error without a place that of a node.
func placed(n *conf.Node, err error) conf.Problems {
	var many conf.Problems
	var one *conf.Problem
	switch {
	case errors.As(err, &many):
		return many
	case errors.As(err, &one):
		return conf.Problems{one}
	}
	return conf.Problems{conf.At(n, "%s", err)}
}

// socket is what is gathered about one address.
type socket struct {
	addr   sockaddr.Addr
	hosts  *vhosts
	set    bool // its options were given
	option sockaddr.Options
	first  listen
}

// listen sorts the servers by address.
func (b *builder) listen() {
	var sockets []*socket
	byAddr := map[sockaddr.Addr]*socket{}
	for _, s := range b.site.servers {
		listens := s.Core.Listens
		if len(listens) == 0 {
			listens = []listen{{addr: defaultAddress(b.site.plan), options: sockaddr.Options{IPv6Only: true}, plain: true, node: s.Scope.Node}}
		}
		for _, l := range listens {
			k := byAddr[l.addr]
			if k == nil {
				k = &socket{addr: l.addr, hosts: newVhosts(), option: l.options, first: l}
				byAddr[l.addr] = k
				sockets = append(sockets, k)
			}
			if !l.plain {
				if k.set {
					b.problem(l.node, conf.At(l.node, "duplicate listen options for %s", l.addr))
				}
				k.set, k.option = true, l.options
			}
			if err := b.join(k.hosts, s, l); err != nil {
				b.problem(l.node, err)
			}
		}
	}
	for _, k := range sockets {
		if k.hosts.tls && k.hosts.byDefault.TLS == nil {
			b.problem(k.first.node, conf.At(k.hosts.byDefault.Scope.Node, "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive"))
		}
		b.site.ports = append(b.site.ports, &Port{Addr: k.addr, Options: k.option, site: b.site, hosts: k.hosts})
	}
}

// Ports are the addresses to listen on.
func (s *Site) Ports() []*Port { return s.ports }

// Resources are the modules' branches of the API.
func (s *Site) Resources() []admin.Resource { return s.resources }

// Servers are the virtual servers in the order of the configuration.
func (s *Site) Servers() []*Server { return s.servers }
