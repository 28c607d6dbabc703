package cycle

import (
	"cmp"
	"net"
	"net/netip"
	"slices"

	"starling/nginx/sockaddr"
	"starling/side"
)

// socket is one listening socket that a configuration needs, with the servers of its connections.
type socket struct {
	key     socketKey
	options sockaddr.Options
	// transport makes a listener of a UDP socket, nil for others
	transport side.Transport
	last      bool
	paused    bool // another process still reads datagrams there
	// sessions is the largest number of the ports that share a UDP socket
	sessions int
	handlers *handlers
}

// handlers are the handlers of the connections of one socket: those of the bound address and, over the socket of a
// wildcard address, those of others on its port, as in nginx: the kernel would not let both be bound.
type handlers struct {
	bound side.ConnHandler
	exact map[netip.Addr]side.ConnHandler
}

// of returns the handler of connections to a local address.
func (s *handlers) of(local net.Addr) side.ConnHandler {
	if len(s.exact) == 0 {
		return s.bound
	}
	if ip, ok := local.(interface{ AddrPort() netip.AddrPort }); ok {
		if exact := s.exact[ip.AddrPort().Addr().Unmap()]; exact != nil {
			return exact
		}
	}
	return s.bound
}

// ports are all addresses of a cycle.
func (c *Cycle) ports() (all []side.Port) {
	for _, s := range c.sites {
		all = append(all, s.Ports()...)
	}
	return all
}

// sockets groups ports by the socket that they share. An address on both sides is returned twice, so that binding it
// fails with that error.
func sockets(ports []side.Port) []socket {
	type family struct {
		port    uint16
		is4     bool
		network string
	}
	wildcards := map[family]int{} // places in out
	var out []socket
	// Wildcards come first, so that the others find them.
	ordered := slices.Clone(ports)
	slices.SortStableFunc(ordered, func(a, b side.Port) int {
		return cmp.Compare(rank(a.Addr), rank(b.Addr))
	})
	for _, p := range ordered {
		f := family{p.Addr.Port(), p.Addr.Addr().Is4(), network(p.Transport)}
		if at, ok := wildcards[f]; ok && !p.Addr.IsUnix() && !p.Addr.Wildcard() && !p.Options.Bind {
			out[at].handlers.exact[p.Addr.Addr()] = p.ConnHandler
			out[at].sessions = max(out[at].sessions, p.MaxSessions)
			continue
		}
		s := socket{
			key:       socketKey{p.Addr, p.Options.IPv6Only && p.Addr.Addr().Is6(), network(p.Transport)},
			options:   p.Options,
			transport: p.Transport,
			last:      p.KeepUntilLast,
			sessions:  p.MaxSessions,
			handlers:  &handlers{bound: p.ConnHandler},
		}
		if s.options.Backlog == 0 {
			s.options.Backlog = sockaddr.DefaultBacklog
		}
		if p.Addr.Wildcard() {
			s.handlers.exact = map[netip.Addr]side.ConnHandler{}
			wildcards[f] = len(out)
		}
		out = append(out, s)
	}
	return out
}

// network is the name of a transport, "" if there is none.
func network(t side.Transport) string {
	if t == nil {
		return ""
	}
	return t.Network()
}

func rank(a sockaddr.Addr) int {
	if a.Wildcard() {
		return 0
	}
	return 1
}

// find returns the handler of an address, nil if there is none; a wildcard's handler takes connections that no other
// does.
func (c *Cycle) find(addr sockaddr.Addr) side.ConnHandler {
	var found side.ConnHandler
	for _, p := range c.ports() {
		switch {
		case p.Transport != nil: // it is not a connection's
		case p.Addr == addr:
			return p.ConnHandler
		case p.Addr.Wildcard() && p.Addr.Port() == addr.Port() && !addr.IsUnix() &&
			p.Addr.Addr().Is4() == addr.Addr().Is4():
			found = p.ConnHandler
		}
	}
	return found
}
