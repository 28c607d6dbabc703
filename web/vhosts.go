package web

import (
	"crypto/tls"
	"errors"
	"strings"

	"starling/conf"
	"starling/logs"
	"starling/nginx/hostnames"
)

// vhosts are the virtual servers of one address.
type vhosts struct {
	byDefault *Server
	tls       bool
	proxied   bool
	http2     bool
	keepAlive socketKeepAlive
	// config chooses the server's own by SNI. It is one for all connections of the address: the keys of session tickets are its.
	config *tls.Config

	names   hostnames.Table[*Server]
	regexes []serverRegex
}

type serverRegex struct {
	regex  *Regex
	server *Server
}

func newVhosts() *vhosts {
	return &vhosts{config: &tls.Config{GetConfigForClient: configForClient}}
}

// find gives the server of a lower-case name, nil if no server_name fits: exact names first, then the longest wildcard that begins
// with an asterisk, the longest that ends with one, the first regular expression. r takes captures; it may be nil.
func (v *vhosts) find(host []byte, r *Request) *Server {
	if s, found := v.names.Find(host); found {
		return s
	}
	if len(host) == 0 {
		return nil
	}
	for i := range v.regexes {
		x := &v.regexes[i]
		matched := false
		if r != nil {
			matched = x.regex.Match(r, host)
		} else {
			matched, _ = x.regex.Regexp.Match(host, nil) // during a handshake: the request asks again and hears of an error
		}
		if matched {
			return x.server
		}
	}
	return nil
}

// add makes a server answer to its names on this address.
func (v *vhosts) add(b *builder, s *Server, at listen) error {
	names := s.Core.Names
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
			b.plan.Log.Logf(logs.Warn, "conflicting server name \"%s\" on %s, ignored", name, at.addr)
		case err != nil:
			return conf.At(s.Core.namesNode, "invalid server name or wildcard \"%s\" on %s", name, at.addr)
		}
	}
	return nil
}

// compileServerNames compiles the regular expressions among a server's names; the others are nil.
func (b *builder) compileServerNames(s *Server) error {
	s.regexes = make([]*Regex, len(s.Core.Names))
	for i, name := range s.Core.Names {
		pattern, isRegex := strings.CutPrefix(name, "~")
		if !isRegex {
			continue
		}
		// nginx matches without regard to case where the pattern has a capital, as names arrive in lower case.
		caseless := pattern != strings.ToLower(pattern)
		x, err := Side.Regex(b.plan, pattern, caseless)
		if err != nil {
			return conf.At(s.Core.namesNode, "%s", err)
		}
		s.regexes[i] = x
	}
	if len(s.Core.Names) > 0 {
		s.Name = strings.TrimPrefix(s.Core.Names[0], ".")
	}
	return nil
}

// join adds a server to an address.
func (b *builder) join(v *vhosts, s *Server, l listen) error {
	if l.isDefault {
		if v.byDefault != nil && b.defaults[v] {
			return conf.At(l.node, "a duplicate default server for %s", l.addr)
		}
		b.defaults[v] = true
		v.byDefault = s
	} else if v.byDefault == nil {
		v.byDefault = s
	}
	v.tls = v.tls || l.tls
	v.proxied = v.proxied || l.proxied
	v.http2 = v.http2 || l.http2
	if l.keepAlive.set {
		v.keepAlive = l.keepAlive
	}
	return v.add(b, s, l)
}
