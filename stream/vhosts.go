package stream

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"

	"starling/conf"
	"starling/logs"
	"starling/nginx/hostnames"
	"starling/ssl"
)

// vhosts are the servers of one address.
type vhosts struct {
	byDefault *Server
	// named tells that the default server was named so.
	named bool
	// config chooses the server's own by SNI. It is one for all connections of the address: the keys of session tickets are its.
	config *tls.Config

	members map[*Server]bool
	names   hostnames.Table[*Server]
	regexes []serverRegex
}

type serverRegex struct {
	regex  *Regex
	server *Server
}

func newVhosts() *vhosts {
	return &vhosts{config: &tls.Config{GetConfigForClient: configForClient}, members: map[*Server]bool{}}
}

// find gives the server of a lower-case name, nil if no server_name fits: exact names first, then the longest wildcard that begins
// with an asterisk, the longest that ends with one, the first regular expression, whose captures the session takes.
func (v *vhosts) find(host []byte, s *Session) *Server {
	if server, found := v.names.Find(host); found {
		return server
	}
	for i := range v.regexes {
		if v.regexes[i].regex.Match(s, host) {
			return v.regexes[i].server
		}
	}
	return nil
}

// join makes a server one of the address.
func (v *vhosts) join(s *Server, l listen, log logs.Logger) error {
	if v.members[s] {
		return conf.At(l.node, "a duplicate listen %s", l.addr)
	}
	v.members[s] = true
	switch {
	case l.isDefault && v.named:
		return conf.At(l.node, "a duplicate default server for %s", l.addr)
	case l.isDefault:
		v.byDefault, v.named = s, true
	case v.byDefault == nil:
		v.byDefault = s
	}
	names := s.settings.Names
	if len(names) == 0 {
		names = []string{""}
	}
	for i, name := range names {
		if strings.HasPrefix(name, "~") {
			v.regexes = append(v.regexes, serverRegex{s.regexes[i], s})
			continue
		}
		switch err := v.names.Add(name, s); {
		case errors.Is(err, hostnames.ErrTaken):
			log.Logf(logs.Warn, "conflicting server name \"%s\" on %s, ignored", name, l.addr)
		case err != nil:
			return conf.At(s.settings.namesNode, "invalid server name or wildcard \"%s\" on %s", name, l.addr)
		}
	}
	return nil
}

// compileNames compiles the regular expressions among a server's names; the others are nil.
func (s *Server) compileNames(b *Block) error {
	names := s.settings.Names
	s.regexes = make([]*Regex, len(names))
	for i, name := range names {
		pattern, isRegex := strings.CutPrefix(name, "~")
		if !isRegex {
			continue
		}
		// nginx matches without regard to case where the pattern has a capital, as names arrive in lower case.
		x, err := Side.Regex(b.Plan, pattern, pattern != strings.ToLower(pattern))
		if err != nil {
			return conf.At(s.settings.namesNode, "%s", err)
		}
		s.regexes[i] = x
	}
	if len(names) > 0 {
		s.Name = strings.TrimPrefix(names[0], ".")
	}
	return nil
}

// Choose takes the server of a name that the client sent, if one has it; else nothing changes.
func (s *Session) Choose(name string) {
	host, ok := validHost(name)
	if !ok {
		return
	}
	if server := s.port.hosts.find([]byte(host), s); server != nil {
		s.Server = server
		s.enter(server.zone)
	}
}

// validHost is what nginx compares with server names: in lower case, without a port and a last dot; false where it would not look.
func validHost(name string) (string, bool) {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.' && i > 0 && name[i-1] == '.':
			return "", false
		case strings.IndexByte("-._~!$&'()*+,;=%:[]", c) < 0:
			return "", false
		}
	}
	host := name
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return "", false
		}
		host = host[:end+1]
	} else {
		host, _, _ = strings.Cut(host, ":")
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host, host != ""
}

// handshaking is a connection during the handshake: by it the chosen server finds its way to the session.
type handshaking struct {
	net.Conn
	session *Session
}

// NetConn returns the connection below.
func (h *handshaking) NetConn() net.Conn { return h.Conn }

// configForClient chooses the server by SNI.
func configForClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	s := hello.Conn.(*handshaking).session
	if hello.ServerName != "" {
		s.Choose(hello.ServerName)
	}
	return s.tlsSettings().Config, nil
}

// DuringHandshake calls f with the session of a handshake, for the variables of a certificate's name: GetCertificate of TLS.Config may do
// so. Of what the handshake brings only the server name is known by then.
func DuringHandshake(hello *tls.ClientHelloInfo, f func(*Session)) {
	s := hello.Conn.(*handshaking).session
	s.Peer = &ssl.Peer{ServerName: hello.ServerName}
	f(s)
	s.Peer = nil
}

// tlsSettings are those of the session's server or, where it has none, of the default one.
func (s *Session) tlsSettings() *TLS {
	if s.Server.TLS != nil {
		return s.Server.TLS
	}
	return s.port.hosts.byDefault.TLS
}
