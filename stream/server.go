package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"starling/conf"
	"starling/lib/door"
	"starling/logs"
	"starling/plan"
	"starling/side"
	"starling/ssl"
)

// Server is one server block of the stream side.
type Server struct {
	// Name is the first of server_name, "" if there is none ($server_name).
	Name string
	Log  logs.Logger
	// TLS is set by the ssl family if the server has certificates.
	TLS *TLS
	// VerifiesClients means that only clients with a certificate of a known CA are accepted.
	VerifiesClients bool
	// KeepUntilLast is set by a family whose sessions other requests depend on; see Port.
	KeepUntilLast bool
	// MaxHandshakes limits the TLS handshakes in progress, 0 for no limit: beyond it, the oldest is evicted.
	MaxHandshakes int
	handshakes    door.Door
	// Sparing, if set, writes the errors of sessions, so that strangers do not fill the log.
	Sparing *logs.Sparing
	// Route is set by the family that forwards the sessions to a group; nil if none does.
	Route *Route

	settings *Settings
	handlers [phases][]Handler
	zone     *StatusZone
	node     *conf.Node
}

// ResolverSettings are those of the server's resolver directives.
func (s *Server) ResolverSettings() plan.ResolverSettings { return s.settings.Resolver }

// TLS configures the handshake of a server.
type TLS struct {
	Config           *tls.Config
	HandshakeTimeout time.Duration
	// Files is the digest of certificates, keys, authorities and revocation lists.
	Files ssl.Digest
	// Verify checks the client's certificate after the handshake and sets Session.Peer; its error ends the session with
	// the reason.
	Verify func(s *Session, state *tls.ConnectionState) error
	// Trusts describes how a client certificate would be verified.
	Trusts func(own *tls.Certificate, now time.Time) ssl.VerifyCode
}

// ListensBeyondLoopback returns the first listen directive that other machines can reach, or nil.
func (s *Server) ListensBeyondLoopback() *conf.Node {
	for _, l := range s.settings.Listens {
		if !l.Addr.IsUnix() && !l.Addr.Addr().IsLoopback() {
			return l.Node
		}
	}
	return nil
}

func buildServer(p *plan.Plan, scope *conf.Scope, modules []*Module) (*Server, error) {
	server := &Server{settings: conf.SettingsOf[Settings](scope), node: scope.Node}
	server.Name = server.settings.Names.First()
	b := &Block{Scope: scope, Plan: p, Server: server}
	if len(server.settings.Listens) == 0 {
		return nil, conf.At(scope.Node, "no \"listen\" is defined for server")
	}
	if name := server.settings.StatusZone; name != "" {
		server.zone = zoneNamed(p, name)
	}
	log, err := p.OpenErrorLog(server.settings.ErrorLogs)
	if err != nil {
		return nil, err
	}
	server.Log = log
	answers := "" // the family of the server's content
	for _, m := range modules {
		if m.Server != nil {
			if err := m.Server(b, server); err != nil {
				return nil, err
			}
		}
		for _, hook := range m.Handlers {
			handler, err := hook.Build(b)
			if err != nil {
				return nil, err
			}
			if handler == nil {
				continue
			}
			if hook.Phase == Content {
				if answers != "" {
					return nil, conf.At(
						scope.Node,
						"\"%s\" and \"%s\" cannot be used in the same server",
						answers,
						m.Name,
					)
				}
				answers = m.Name
			}
			server.handlers[hook.Phase] = append(server.handlers[hook.Phase], handler)
		}
	}
	if len(server.handlers[Content]) == 0 {
		// nginx accepts it too: a server may be there only for its address or name.
		log.Logf(logs.Warn, "%v", conf.At(scope.Node, "no handler for server: its sessions end with status 500"))
	}
	return server, nil
}

// TakesDatagrams reports whether one of the server's addresses is UDP.
func (s *Server) TakesDatagrams() bool {
	return slices.ContainsFunc(s.settings.Listens, func(l side.Listen) bool { return l.UDP })
}

// run runs the phases. A parked session may have ended since, and belongs to other code.
func (s *Session) run() (parked bool) {
	defer s.Survive()
	status := 0
	if k := s.port.hosts.KeepAlive; k.Set {
		if err := k.Apply(s.raw); err != nil {
			s.Logf(logs.Alert, "setsockopt(SO_KEEPALIVE) failed (%v)", err)
		}
	}
	if s.port.hosts.Proxied {
		status = s.readProxied()
	}
	if status == 0 {
		status = s.phases()
	}
	if status == statusParked {
		return true
	}
	s.log(status)
	return false
}

// Finish ends a session that was parked. It is called once.
func (s *Session) Finish(result Result) {
	defer s.port.site.close(s)
	defer s.Survive()
	s.log(result.status())
}

// log is the last phase.
func (s *Session) log(status int) {
	s.Status = status
	if s.passed {
		return
	}
	for _, handler := range s.Server.handlers[Log] {
		handler(s)
	}
}

func (s *Session) phases() (status int) {
	for phase := PostAccept; phase < Log; phase++ {
		if phase == SSL && s.port.hosts.TLS {
			if err := s.handshake(); err != nil {
				return StatusInternalError
			}
		}
		// A handler can select another server; its handlers apply from the next phase on.
		if status := s.phase(s.Server.handlers[phase]); status != 0 {
			return status
		}
	}
	return StatusInternalError // the content handler declined, which none does
}

// statusParked is the status of a session that has none yet.
const statusParked = -1

// status is the status with which a result ends the session, 0 if it does not.
func (r Result) status() int {
	switch {
	case r == Done:
		return StatusOK
	case r == Parked:
		return statusParked
	case r >= 100:
		return int(r)
	}
	return 0
}

// phase calls handlers until one ends the session with a status, or returns 0 for the next phase.
func (s *Session) phase(handlers []Handler) (status int) {
	for _, handler := range handlers {
		result := handler(s)
		if result == Parked {
			return statusParked
		}
		for result == Again {
			if status := s.prereadMore(); status != 0 {
				return status
			}
			result = handler(s)
		}
		s.prereadEnds()
		if status := result.status(); status != 0 || result == Granted {
			return status
		}
	}
	return 0
}

// readProxied reads the PROXY protocol header. A status ends the session: nginx has 200 for clients that disconnect or
// are silent.
func (s *Session) readProxied() (status int) {
	if err := s.raw.SetReadDeadline(time.Now().Add(s.Server.settings.ProxiedTimeout)); err != nil {
		return StatusOK // the site was closed
	}
	var err error
	s.Proxied, err = side.ReadProxied(s.raw, s)
	switch {
	case errors.Is(err, io.EOF), side.IsBroken(err):
		return StatusBadRequest
	case err != nil, s.raw.SetReadDeadline(time.Time{}) != nil:
		return StatusOK
	}
	return 0
}

// Survive, deferred, prevents a panic in serving one session from ending all others.
func (s *Session) Survive() {
	if reason := recover(); reason != nil {
		s.Logf(logs.Alert, "panic while serving a session: %v %s", reason, debug.Stack())
	}
}

// handshake performs the TLS handshake. The error was logged.
func (s *Session) handshake() error {
	if most := s.Server.MaxHandshakes; most > 0 {
		defer s.Server.handshakes.Enter(most, func() { s.raw.Close() })()
	}
	conn := tls.Server(s.raw, s.port.hosts.Handshake)
	if err := s.raw.SetDeadline(time.Now().Add(s.tlsSettings().HandshakeTimeout)); err != nil {
		return err
	}
	err := conn.HandshakeContext(side.WithSubject(context.Background(), s))
	if err != nil {
		s.countHandshake(func(h *ssl.Handshakes) { h.Failed(err) })
		s.refuse(fmt.Errorf("SSL_do_handshake() failed (%w) while SSL handshaking", err))
		return err
	}
	if err := s.raw.SetDeadline(time.Time{}); err != nil {
		return err
	}
	s.TLS = conn
	s.Conn = &counted{conn, s}
	state := conn.ConnectionState()
	err = s.tlsSettings().Verify(s, &state)
	s.Offer = nil
	s.countHandshake(func(h *ssl.Handshakes) {
		h.Done(state.DidResume)
		h.Unverified(err)
	})
	if err != nil {
		s.refuse(err)
	}
	return err
}

// countHandshake counts in the process and in the zone of the server that TLS named.
func (s *Session) countHandshake(count func(*ssl.Handshakes)) {
	count(s.port.site.handshakes)
	if s.zone != nil {
		count(s.zone.handshakes)
	}
}

// refuse logs why a client was rejected. nginx logs it at level info; on the port of a cluster, the operator must see
// it.
func (s *Session) refuse(err error) {
	level := logs.Info
	if s.Server.KeepUntilLast {
		level = logs.Error
	}
	s.Logf(level, "%v", err)
}
