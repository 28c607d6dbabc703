package web

import (
	"bytes"
	"crypto/tls"
	"strings"

	"starling/conf"
	"starling/observe"
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

	exact   map[string]*Server
	suffix  map[string]*Server // ".example.org" for *.example.org
	prefix  map[string]*Server // "www.example." for www.example.*
	regexes []serverRegex
}

type serverRegex struct {
	regex  *Regex
	server *Server
}

func newVhosts() *vhosts {
	return &vhosts{config: &tls.Config{GetConfigForClient: configForClient}, exact: map[string]*Server{}, suffix: map[string]*Server{}, prefix: map[string]*Server{}}
}

// find gives the server of a lower-case name, nil if no server_name fits: exact names first, then the longest wildcard that begins
// with an asterisk, the longest that ends with one, the first regular expression. r takes captures; it may be nil.
func (v *vhosts) find(host []byte, r *Request) *Server {
	if s := v.exact[string(host)]; s != nil {
		return s
	}
	if len(v.suffix) > 0 {
		for i := bytes.IndexByte(host, '.'); i >= 0; {
			if s := v.suffix[string(host[i:])]; s != nil && i > 0 {
				return s
			}
			next := bytes.IndexByte(host[i+1:], '.')
			if next < 0 {
				break
			}
			i += 1 + next
		}
	}
	if len(v.prefix) > 0 {
		for i := bytes.LastIndexByte(host, '.'); i > 0; i = bytes.LastIndexByte(host[:i], '.') {
			if s := v.prefix[string(host[:i+1])]; s != nil {
				return s
			}
		}
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
		table, key := v.exact, name
		switch {
		case strings.HasPrefix(name, "*."):
			table, key = v.suffix, name[1:]
		case strings.HasPrefix(name, ".") && len(name) > 1:
			v.put(b, v.exact, name[1:], name, s, at)
			table, key = v.suffix, name
		case strings.HasSuffix(name, ".*"):
			table, key = v.prefix, name[:len(name)-1]
		}
		if strings.Contains(key, "*") || strings.Contains(key, "..") {
			return conf.At(s.Core.namesNode, "invalid server name or wildcard \"%s\" on %s", name, at.addr)
		}
		v.put(b, table, key, name, s, at)
	}
	return nil
}

func (v *vhosts) put(b *builder, table map[string]*Server, key, name string, s *Server, at listen) {
	if old := table[key]; old == nil {
		table[key] = s
	} else if old != s {
		b.plan.Log.Logf(observe.Warn, "conflicting server name \"%s\" on %s, ignored", name, at.addr)
	}
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
		x, err := CompileRegex(b.plan, pattern, caseless)
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
