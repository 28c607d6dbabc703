package stream

import (
	"crypto/tls"

	"starling/nginx/hostnames"
	"starling/side"
	"starling/ssl"
)

// hosts are the servers of an address.
type hosts = side.Hosts[*Server, *Session]

// Choose switches to the server for the client's name, if one has it; otherwise nothing changes.
func (s *Session) Choose(name string) {
	host, ok := hostnames.Clean(name)
	if !ok {
		return
	}
	if server, found := s.port.hosts.Find(s, host); found {
		s.Server = server
		s.enter(server.zone)
	}
}

// configForClient selects the server by SNI.
func configForClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	s := side.SubjectOf[*Session](hello)
	if hello.ServerName != "" {
		s.Choose(hello.ServerName)
	}
	s.Offer = ssl.OfferOf(hello)
	return s.tlsSettings().Config, nil
}

// OfferOf is what the client of a handshake offers.
func OfferOf(hello *tls.ClientHelloInfo) *ssl.Offer { return side.SubjectOf[*Session](hello).Offer }

// DuringHandshake calls f with the session of a handshake, for the variables in a certificate's name: GetCertificate of
// TLS.Config can do so. Of the handshake, only the server name is known by then.
func DuringHandshake(hello *tls.ClientHelloInfo, f func(*Session)) {
	s := side.SubjectOf[*Session](hello)
	s.Peer = &ssl.Peer{ServerName: hello.ServerName, Offer: s.Offer}
	f(s)
	s.Peer = nil
}

// tlsSettings are those of the session's server or, if it has none, of the default one.
func (s *Session) tlsSettings() *TLS {
	if s.Server.TLS != nil {
		return s.Server.TLS
	}
	return s.port.hosts.Default.TLS
}
