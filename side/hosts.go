package side

import (
	"crypto/tls"
	"errors"

	"starling/conf"
	"starling/logs"
	"starling/nginx/hostnames"
	"starling/nginx/sockaddr"
)

// Addresses are the listening addresses of a side, in the order of the configuration.
type Addresses[S comparable, C Subject] struct {
	// Choose returns the TLS settings of the server that the client names in its handshake.
	Choose func(*tls.ClientHelloInfo) (*tls.Config, error)
	// Log gets warnings about names.
	Log logs.Logger
	All []*Hosts[S, C]

	byKey map[addressKey]*Hosts[S, C]
}

// Hosts are the servers of one address. Its Listen combines all their directives.
type Hosts[S comparable, C Subject] struct {
	Listen
	// Default serves clients whose name matches no server: the one with default_server, otherwise the first.
	Default S
	// Handshake selects the server's settings by SNI (Addresses.Choose). All connections of the address share it,
	// because it has the keys of session tickets.
	Handshake *tls.Config

	names   hostnames.Table[S]
	regexes []hostRegex[S, C]
}

type hostRegex[S comparable, C Subject] struct {
	regex  *Regex[C]
	server S
}

// key distinguishes addresses: TCP and UDP have separate ports.
func (l *Listen) key() addressKey { return addressKey{l.Addr, l.UDP} }

type addressKey struct {
	addr sockaddr.Addr
	udp  bool
}

// Join adds a server with its names to an address. The Hosts of the address are returned even if there are problems.
func (a *Addresses[S, C]) Join(server S, names *Names[C], l Listen) (*Hosts[S, C], conf.Problems) {
	var problems conf.Problems
	h := a.byKey[l.key()]
	if h == nil {
		h = a.add(server, l)
	} else {
		problems = h.merge(server, l)
	}
	for _, name := range names.orEmpty() {
		if name.regex != nil {
			h.regexes = append(h.regexes, hostRegex[S, C]{name.regex, server})
			continue
		}
		switch err := h.names.Add(name.text, server); {
		case errors.Is(err, hostnames.ErrTaken):
			a.Log.Logf(logs.Warn, "conflicting server name \"%s\" on %s, ignored", name.text, l.Addr)
		case err != nil:
			problems = append(
				problems,
				conf.At(name.node, "invalid server name or wildcard \"%s\" on %s", name.text, l.Addr),
			)
		}
	}
	return h, problems
}

func (a *Addresses[S, C]) add(server S, l Listen) *Hosts[S, C] {
	h := &Hosts[S, C]{Listen: l, Default: server, Handshake: &tls.Config{GetConfigForClient: a.Choose}}
	a.All = append(a.All, h)
	if a.byKey == nil {
		a.byKey = map[addressKey]*Hosts[S, C]{}
	}
	a.byKey[l.key()] = h
	return h
}

// merge adds the listen directive of another server.
func (h *Hosts[S, C]) merge(server S, l Listen) (problems conf.Problems) {
	if !l.Plain {
		if !h.Plain {
			problems = append(problems, conf.At(l.Node, "duplicate listen options for %s", l.Addr))
		}
		h.Plain, h.Options, h.KeepAlive = false, l.Options, l.KeepAlive
	}
	if l.IsDefault {
		if h.IsDefault {
			problems = append(problems, conf.At(l.Node, "a duplicate default server for %s", l.Addr))
		}
		h.IsDefault, h.Default = true, server
	}
	h.TLS, h.HTTP2, h.Proxied = h.TLS || l.TLS, h.HTTP2 || l.HTTP2, h.Proxied || l.Proxied
	return problems
}

// Find returns the server for a lower-case name; ok is false if no server_name matches. Exact names come first, then
// the longest that begins with an asterisk, the longest that ends with one, and the first regular expression, whose
// captures the subject stores.
func (h *Hosts[S, C]) Find(c C, host []byte) (server S, ok bool) {
	if server, ok = h.names.Find(host); ok || len(host) == 0 {
		return server, ok
	}
	for i := range h.regexes {
		if x := &h.regexes[i]; x.regex.Match(c, host) {
			return x.server, true
		}
	}
	return server, false
}

// Lookup is Find without a subject to store captures. It does not log a regular expression that takes too long: Find,
// which is called afterwards, does.
func (h *Hosts[S, C]) Lookup(host []byte) (server S, ok bool) {
	if server, ok = h.names.Find(host); ok || len(host) == 0 {
		return server, ok
	}
	for i := range h.regexes {
		if matched, _ := h.regexes[i].regex.Regexp.Match(host, nil); matched {
			return h.regexes[i].server, true
		}
	}
	return server, false
}
