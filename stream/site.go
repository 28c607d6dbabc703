package stream

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"starling/admin"
	"starling/conf"
	"starling/lib/packets"
	"starling/lib/socketwatch"
	"starling/logs"
	"starling/nginx/sockaddr"
	"starling/plan"
	"starling/side"
	"starling/ssl"
)

// Site is the stream side of one running configuration.
type Site struct {
	plan    *plan.Plan
	slots   int
	modules []*Module
	times   logs.TimeCache
	ports   []side.Port
	context context.Context
	cancel  context.CancelFunc

	handshakes *ssl.Handshakes // of the process

	gate     *side.Gate[*Session]
	arrivals socketwatch.Lazy
}

// Port is one address that a site listens on, the ConnHandler of a side.Port.
type Port struct {
	Addr sockaddr.Addr
	// UDP means that its connections are sessions of datagrams, made by package packets.
	UDP bool

	hosts *hosts
	site  *Site
}

// datagrams is the transport of UDP: all datagrams from one client to one address are a session.
type datagrams struct{}

func (datagrams) Network() string { return "udp" }

func (datagrams) Listen(socket *net.UDPConn, _ func(net.Addr) side.ConnHandler) (net.Listener, error) {
	return packets.Listen(socket)
}

// Build makes the servers of a bound stream block. Its error can be conf.Problems.
func Build(p *plan.Plan, block *conf.Scope, modules []*Module) (*Site, error) {
	s := &Site{plan: p, modules: modules, handshakes: p.Traffic().Handshakes}
	s.gate = side.NewGate[*Session](s.endArrivals)
	s.context, s.cancel = context.WithCancel(context.Background())
	var problems conf.Problems
	addresses := side.Addresses[*Server, *Session]{Choose: configForClient, Log: p.Log}
	members := map[*hosts][]*Server{}
	for _, scope := range block.All("server") {
		server, err := buildServer(p, scope, modules)
		if err != nil {
			problems = append(problems, conf.ProblemsAt(scope.Node, err)...)
			continue
		}
		for _, l := range server.settings.Listens {
			h, conflicts := addresses.Join(server, &server.settings.Names, l)
			problems = append(problems, conflicts...)
			members[h] = append(members[h], server)
		}
	}
	for _, h := range addresses.All {
		if h.TLS && h.Default.TLS == nil {
			problems = append(problems, side.NoCertificate(h.Default.node))
		}
		s.ports = append(s.ports, s.port(h, members[h]))
	}
	problems = append(problems, Side.Unknown(p)...)
	if len(problems) > 0 {
		problems.Sort()
		return nil, problems
	}
	s.slots = Side.Slots(p)
	return s, nil
}

// port makes the port of an address; socket options of one of its servers apply to all.
func (s *Site) port(h *hosts, servers []*Server) side.Port {
	p := side.Port{Addr: h.Addr, Options: h.Options, ConnHandler: &Port{Addr: h.Addr, UDP: h.UDP, hosts: h, site: s}}
	if h.UDP {
		p.Transport = datagrams{}
	}
	for _, server := range servers {
		p.KeepUntilLast = p.KeepUntilLast || server.KeepUntilLast
		p.MaxSessions = max(p.MaxSessions, server.settings.UDPSessions)
	}
	return p
}

// Ports are the addresses to listen on.
func (s *Site) Ports() []side.Port { return s.ports }

// Resources are the modules' branches of the API.
func (s *Site) Resources() []admin.Resource {
	var all []admin.Resource
	for _, m := range s.modules {
		if m.API != nil {
			all = append(all, m.API(s.plan)...)
		}
	}
	return all
}

// Expect announces a connection: the site is not drained before ServeExpected has served it or Unexpect withdraws it.
func (p *Port) Expect() { p.site.gate.Expect() }

// Unexpect takes Expect back.
func (p *Port) Unexpect() { p.site.gate.Unexpect() }

// Serve serves an accepted connection and closes it.
func (p *Port) Serve(conn net.Conn) { p.ServeWithin(nil, conn) }

// ServeWithin is Serve of a connection that a session passes on within its fence.
func (p *Port) ServeWithin(fence *side.Fence, conn net.Conn) {
	p.Expect()
	p.serve(fence, conn)
}

// ServeExpected is Serve after Expect. It returns when the session has ended, or is parked.
func (p *Port) ServeExpected(conn net.Conn) { p.serve(nil, conn) }

func (p *Port) serve(fence *side.Fence, conn net.Conn) {
	s := p.site.open(p, conn)
	s.fence = fence
	if parked := s.run(); !parked {
		p.site.close(s)
	}
}

func (s *Site) open(p *Port, conn net.Conn) *Session {
	session := newSession(p, conn)
	if s.gate.Enter(session) {
		conn.Close() // the site was closed since the connection was accepted
	}
	return session
}

func (s *Site) close(session *Session) {
	// Before the client can see the end: if it connects again at once, its place is free.
	session.leave()
	session.Release()
	if session.fences {
		session.fence.End()
	}
	if !session.passed {
		session.sayGoodbye()
		session.raw.Close() // a failure cannot be handled any more
	}
	s.plan.Connections.Closed()
	s.gate.Leave(session)
}

// goodbyeTimeout limits the end of a TLS session: it is a courtesy, and the client may not read.
const goodbyeTimeout = time.Second

// sayGoodbye tells an encrypted client that nothing was truncated.
func (s *Session) sayGoodbye() {
	if s.TLS != nil && s.raw.SetWriteDeadline(time.Now().Add(goodbyeTimeout)) == nil {
		s.TLS.CloseWrite() // fails if the connection is already closed
	}
}

// Retire reports that no more connections will arrive. Sessions continue until they end by themselves.
func (s *Site) Retire() {
	s.gate.Retire(func(session *Session, detached bool) {
		if session.port.UDP && !detached {
			session.raw.Close() // a client's next datagram starts a session with the new configuration, if there is one
		}
	})
}

// Resume takes Retire back: the site serves new sessions again.
func (s *Site) Resume() { s.gate.Reopen(func() { s.arrivals = socketwatch.Lazy{} }) }

// Drained is closed when the site has retired and its sessions, except detached ones, have ended.
func (s *Site) Drained() <-chan struct{} { return s.gate.Drained() }

// Emptied is closed when the detached ones have ended too.
func (s *Site) Emptied() <-chan struct{} { return s.gate.Emptied() }

// Close ends all sessions but the detached ones by force.
func (s *Site) Close() {
	s.cancel()
	s.gate.Close(func(session *Session, detached bool) {
		if !detached {
			session.raw.Close() // the session then reads an error, which it reports
		}
	})
}

// WatchArrivals has arrived called whenever there is something new to read from a socket of the session's, so that no
// goroutine has to wait for it; see socketwatch. It fails if the system does not support it. ForgetArrivals ends it.
func (s *Session) WatchArrivals(socket syscall.RawConn, arrived func()) (id uint64, err error) {
	watcher := s.port.site.arrivals.Get(func(err error) {
		if !errors.Is(err, errors.ErrUnsupported) {
			s.Logf(logs.Warn, "cannot watch sockets for datagrams; each session keeps a goroutine: %v", err)
		}
	})
	if watcher == nil {
		return 0, errors.ErrUnsupported
	}
	return watcher.Arrivals(socket, arrived)
}

// ForgetArrivals ends WatchArrivals. A call of arrived in progress can still continue.
func (s *Session) ForgetArrivals(id uint64) {
	if watcher := s.port.site.arrivals.Get(func(error) {}); watcher != nil {
		watcher.Remove(id)
	}
}

// endArrivals is called when a retired site has only detached sessions left, which watch nothing.
func (s *Site) endArrivals() {
	if err := s.arrivals.Close(); err != nil {
		s.plan.Log.Logf(logs.Alert, "closing an epoll instance failed: %v", err)
	}
}

// newSession starts the accounting of a connection.
func newSession(p *Port, conn net.Conn) *Session {
	s := &Session{
		raw:           conn,
		port:          p,
		Server:        p.hosts.Default,
		StartedAt:     time.Now(),
		Number:        p.site.plan.Connections.Accepted(),
		Remote:        addrPort(conn.RemoteAddr()),
		ConnectedFrom: addrPort(conn.RemoteAddr()),
		Local:         addrPort(conn.LocalAddr()),
	}
	s.Conn = &counted{conn, s}
	s.enter(s.Server.zone)
	s.Reserve(p.site.slots)
	if tcp, ok := conn.(*net.TCPConn); ok && !s.Server.settings.NoDelay {
		if err := tcp.SetNoDelay(false); err != nil { // Go's default is on
			s.Logf(logs.Info, "setsockopt(TCP_NODELAY) failed: %v", err)
		}
	}
	s.Logf(logs.Info, "%sclient %s connected to %s", udpWord(p.UDP), conn.RemoteAddr(), p.Addr)
	return s
}

// udpWord begins what logs say of datagrams.
func udpWord(udp bool) string {
	if udp {
		return "udp "
	}
	return ""
}
