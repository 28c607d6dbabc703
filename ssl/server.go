package ssl

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"starling/ssl/ocsp"
)

// VerifyClient is ssl_verify_client.
type VerifyClient uint8

// The values of ssl_verify_client.
const (
	VerifyOff VerifyClient = iota
	VerifyOn
	VerifyOptional
	VerifyOptionalNoCA
)

// VerifyClientWords are the words of ssl_verify_client.
var VerifyClientWords = map[string]VerifyClient{
	"off": VerifyOff, "on": VerifyOn, "optional": VerifyOptional, "optional_no_ca": VerifyOptionalNoCA,
}

// ServerSettings are the ssl_* settings of a listening server.
type ServerSettings struct {
	Common
	VerifyClient VerifyClient
	// ClientCA is ssl_client_certificate: trusted like Common.Trusted, and its names are sent to clients.
	ClientCA string
	// TicketKeys are ssl_session_ticket_key files, the first for new tickets. Without any, the keys are those of
	// Sessions if servers share it, otherwise Keys; nil: own ones.
	TicketKeys []string
	Keys       *TicketKeys
	// Sessions, if not nil, stores sessions when tickets are off.
	Sessions *SessionCache
	// SessionTimeout is how long a session can be resumed.
	SessionTimeout time.Duration
	// Find finds the certificates at each handshake if their names have variables; Certificates is then unused. An
	// error of it ends the handshake.
	Find func(*tls.ClientHelloInfo) ([]*tls.Certificate, error)
	// Context distinguishes, besides the fixed certificates, servers that share the keys of tickets.
	Context []string
	// RejectHandshake rejects every handshake: unknown names of a default server.
	RejectHandshake bool
	// Shows tells which variables are used; OfferOf is the offer of a handshake, for its signature.
	Shows   Shows
	OfferOf func(*tls.ClientHelloInfo) *Offer
	// Stapling staples answers of responders to the server's certificates. Staples keeps them, OldStaples has those of
	// the previous configuration.
	Stapling            Stapling
	Staples, OldStaples *Staples
	// StatusChecks asks responders about the certificates of clients: StatusResponder or, if empty, those that the
	// certificates name. Statuses, if not nil, caches the answers.
	StatusChecks    StatusChecks
	StatusResponder string
	Statuses        *StatusCache
	// Asker reaches the responders; LogError logs what is wrong with a staple.
	Asker    *ocsp.Asker
	LogError func(format string, args ...any)
	// VerifyInHandshake ends the handshake if the client's certificate does not verify. By default, as in nginx, the
	// handshake succeeds and Server.Check returns the result, so that an HTTP server can answer 400.
	VerifyInHandshake bool
}

// NewServerSettings returns nginx's defaults.
func NewServerSettings() ServerSettings {
	return ServerSettings{
		Common: Common{
			Protocols:   DefaultProtocols,
			Ciphers:     DefaultServerCiphers,
			VerifyDepth: DefaultVerifyDepth,
			Curves:      autoCurves,
		},
		SessionTimeout: DefaultSessionTimeout,
	}
}

// Server is the built TLS side of a listening server. It is immutable and safe for concurrent use.
type Server struct {
	// Config is ready for tls.Server. A listener with several virtual servers returns it from GetConfigForClient.
	Config *tls.Config

	mode   VerifyClient
	verify *verifier
	used   []Used
	shows  Shows
	// staples are those of the certificates, in their order; nil for one without.
	staples []*staple
	status  *status
}

// Build reads the files and makes the configuration. Warnings report settings without effect; the error is nginx's.
func (s ServerSettings) Build(read ReadFile) (*Server, []string, error) {
	if s.ClientCA != "" && s.VerifyClient != VerifyOff { // otherwise nginx does not open it
		s.Trusted = append([]string{s.ClientCA}, s.Trusted...)
	}
	config, verify, warnings, err := s.base(x509.ExtKeyUsageClientAuth, read)
	if err != nil {
		return nil, nil, err
	}
	if err := s.resume(config, read); err != nil {
		return nil, nil, err
	}
	server := &Server{Config: config, mode: s.VerifyClient, verify: verify, shows: s.Shows}
	if server.status, err = s.status(); err != nil {
		return nil, nil, err
	}
	if !s.RejectHandshake {
		server.used = s.used(config)
	}
	if s.VerifyClient != VerifyOff {
		if err := s.askClients(config, read); err != nil {
			return nil, nil, err
		}
		if s.VerifyInHandshake {
			config.VerifyConnection = func(state tls.ConnectionState) error {
				return server.Check(server.Inspect(&state, nil, time.Now()))
			}
		}
	}
	if s.RejectHandshake {
		// Without a certificate the library answers with the alert unrecognized_name, as nginx does; an error of a
		// callback would become internal_error.
		config.Certificates, config.SessionTicketsDisabled = nil, true
		return server, warnings, nil
	}
	more, err := s.choose(config, server, read)
	s.OldStaples = nil // functions of the handshake keep s, and old answers refer to the whole previous configuration
	return server, append(warnings, more...), err
}

// choose sets how a handshake gets its certificate.
func (s *ServerSettings) choose(config *tls.Config, server *Server, read ReadFile) (warnings []string, err error) {
	find := s.Find
	switch {
	case find != nil && s.Stapling.On:
		warnings = append(warnings, "\"ssl_stapling\" ignored, certificates with variables are not stapled")
	case find == nil:
		all := make([]*tls.Certificate, len(config.Certificates))
		for i := range all {
			all[i] = &config.Certificates[i]
		}
		if s.Stapling.On {
			if server.staples, warnings, err = s.staple(all, server.verify, read); err != nil {
				return nil, err
			}
		}
		switch {
		case len(all) == 0:
			return nil, errors.New(`no "ssl_certificate" is defined`)
		case len(all) == 1 && !s.Shows.Signature && server.staples == nil:
			return warnings, nil
		}
		find = func(*tls.ClientHelloInfo) ([]*tls.Certificate, error) { return all, nil }
		config.Certificates = nil // the library would take one of them for a client without SNI
	}
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		all, err := find(hello)
		if err != nil {
			return nil, err
		}
		cert := pick(hello, all)
		if server.staples != nil && slices.Contains(hello.Extensions, statusRequest) {
			if one := server.staples[slices.Index(all, cert)]; one != nil {
				cert = one.of(time.Now())
			}
		}
		if s.Shows.Signature {
			cert = s.OfferOf(hello).recording(cert)
		}
		return cert, nil
	}
	return warnings, nil
}

// askClients makes the server request a certificate, naming the CAs of ssl_client_certificate.
func (s *ServerSettings) askClients(config *tls.Config, read ReadFile) error {
	if s.VerifyClient != VerifyOptionalNoCA && len(s.Trusted) == 0 {
		return errors.New("no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client")
	}
	// Not RequireAndVerify: Check decides, with nginx's rules and texts.
	config.ClientAuth = tls.RequestClientCert
	config.ClientCAs = x509.NewCertPool()
	if s.ClientCA == "" {
		return nil
	}
	certs, err := loadChain(s.ClientCA, read)
	if err != nil {
		return err
	}
	for _, c := range certs {
		config.ClientCAs.AddCert(c)
	}
	return nil
}

// resume sets how sessions are resumed.
func (s *ServerSettings) resume(config *tls.Config, read ReadFile) error {
	keys, err := fileKeys(s.TicketKeys, read)
	switch {
	case err != nil:
		return err
	case config.SessionTicketsDisabled && s.Sessions != nil:
		s.Sessions.use(config, s.SessionTimeout)
		return nil
	case config.SessionTicketsDisabled, len(s.TicketKeys) > 0:
	case s.Sessions != nil && s.Sessions.keys != nil:
		keys = s.Sessions.keys
	case s.Keys != nil:
		keys = s.Keys
	}
	newTickets(keys, s.SessionTimeout, config.Certificates, s.Context).use(config)
	return nil
}

// ClientError is the error for a client whose certificate is missing or does not verify.
type ClientError struct {
	// Missing: nginx answers 496, shown as 400 "No required SSL certificate was sent"; else 495, 400 "The SSL
	// certificate error".
	Missing bool
	Code    VerifyCode
	// Status is set if the certificate verifies and ssl_ocsp rejects it.
	Status string
}

// Error is nginx's line for the error log at level info.
func (e *ClientError) Error() string {
	if e.Missing {
		return "client sent no required SSL certificate"
	}
	if e.Status != "" {
		return "client SSL certificate verify error: " + e.Status
	}
	return fmt.Sprintf("client SSL certificate verify error: (%d:%v)", int(e.Code), e.Code)
}

// Inspect verifies the client's certificate, if any, and returns the data of the connection's variables. Call it once
// per connection, after the handshake. offer is that of the connection; nil if no variable needs it.
func (s *Server) Inspect(state *tls.ConnectionState, offer *Offer, now time.Time) *Peer {
	p := &Peer{Version: state.Version, Cipher: state.CipherSuite, Curve: state.CurveID, ServerName: state.ServerName,
		Resumed: state.DidResume, ALPN: state.NegotiatedProtocol}
	if len(state.PeerCertificates) > 0 {
		p.Certificate = state.PeerCertificates[0]
		p.Code, p.path = s.verify.path(state.PeerCertificates, x509.ExtKeyUsageClientAuth, now)
		if s.status == nil {
			p.path = nil
		}
		p.clientSigned = signatureOfPeer(state)
	}
	if s.shows != (Shows{}) {
		p.Offer = offer
	}
	return p
}

// Check reports whether ssl_verify_client admits the client: nil, or a *ClientError.
func (s *Server) Check(p *Peer) error { return s.mode.Check(p) }

// Check is Server.Check for a server that took over a connection after another server's handshake.
func (v VerifyClient) Check(p *Peer) error {
	switch {
	case v == VerifyOff:
		return nil
	case p.Certificate == nil:
		if v == VerifyOn {
			return &ClientError{Missing: true}
		}
		return nil
	case p.Status != "":
		return &ClientError{Status: p.Status}
	case p.Code == VerifyOK, v == VerifyOptionalNoCA && p.Code.untrustedOnly():
		return nil
	}
	return &ClientError{Code: p.Code}
}
