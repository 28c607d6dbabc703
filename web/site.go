package web

import (
	"context"

	"starling/admin"
	"starling/conf"
	"starling/lib/socketwatch"
	"starling/logs"
	"starling/nginx/sockaddr"
	"starling/plan"
	"starling/side"
	"starling/web/h1"
)

// Site is the http side of one configuration, ready to serve.
type Site struct {
	plan      *plan.Plan
	ports     []side.Port
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

	gate    *side.Gate[*Conn]
	watcher socketwatch.Lazy
}

// Requests returns the requests that the process has started, and those in progress.
func (s *Site) Requests() (total, current int64) {
	f := s.traffic.Figures()
	return int64(f.Requests), f.Current
}

// Port is one address that a Site listens on, the ConnHandler of a side.Port.
type Port struct {
	Addr sockaddr.Addr

	site  *Site
	hosts *hosts
}

// hosts are the virtual servers of an address.
type hosts = side.Hosts[*Server, *Request]

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

// Build makes the http side from its bound block: modules are linked, then servers and locations are built, inner
// scopes first. Its error is a conf.Problems or a *conf.Problem.
func Build(p *plan.Plan, http *conf.Scope, modules []*Module) (*Site, error) {
	b := &builder{modules: modules, plan: p}
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
	b.site = &Site{plan: p, traffic: p.Traffic(), spool: spoolOf(p), hostname: hostname()}
	b.site.gate = side.NewGate[*Conn](b.site.endHangups)
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
	p.OnStart(func(context.Context) error {
		p.OnRetire(p.Connections.CountIdle(b.site.idle))
		return makeTempDirs(p)
	})
	p.OnOwner(func(uid, gid int) []error { return giveTempDirs(p, uid, gid) })
	b.site.slots = Side.Slots(p)
	for _, m := range modules {
		if m.API != nil {
			b.site.resources = append(b.site.resources, m.API(p)...)
		}
	}
	return b.site, nil
}

// listen groups the servers by address.
func (b *builder) listen() {
	addresses := side.Addresses[*Server, *Request]{Choose: configForClient, Log: b.plan.Log}
	for _, s := range b.site.servers {
		listens := s.Core.Listens
		if len(listens) == 0 {
			listens = side.Listens{side.PlainListen(defaultAddress(b.plan), s.Scope.Node)}
		}
		for _, l := range listens {
			_, problems := addresses.Join(s, &s.Core.Names, l)
			b.problems = append(b.problems, problems...)
		}
	}
	for _, h := range addresses.All {
		h.TLS = h.TLS || h.Default.AlwaysTLS
		if h.TLS && h.Default.TLS == nil {
			b.problems = append(b.problems, side.NoCertificate(h.Default.Scope.Node))
		}
		port := &Port{Addr: h.Addr, site: b.site, hosts: h}
		b.site.ports = append(b.site.ports, side.Port{Addr: h.Addr, Options: h.Options, ConnHandler: port})
	}
}

// idle counts the connections that wait for a request.
func (s *Site) idle() (n int64) {
	s.gate.Inside(func(c *Conn) {
		if c.waits.Load() {
			n++
		}
	})
	return n
}

// Ports are the addresses to listen on.
func (s *Site) Ports() []side.Port { return s.ports }

// Resources are the modules' branches of the API.
func (s *Site) Resources() []admin.Resource { return s.resources }

// Servers are the virtual servers in the order of the configuration.
func (s *Site) Servers() []*Server { return s.servers }
