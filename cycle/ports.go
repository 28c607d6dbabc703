package cycle

import (
	"cmp"
	"net"
	"net/netip"
	"slices"

	"starling/nginx/sockaddr"
)

// port is one address that a side wants to serve.
type port struct {
	addr    sockaddr.Addr
	options sockaddr.Options
	udp     bool
	last    bool
	// sessions bounds the sessions of a UDP socket
	sessions int
	server   server
}

// socket is one listening socket that a configuration needs, with what serves its connections.
type socket struct {
	key     socketKey
	options sockaddr.Options
	last    bool
	// sessions is the largest number of the ports that share a UDP socket
	sessions int
	servers  *servers
}

// servers are who serves the connections of one socket: the address that was bound and, over the socket of a wildcard address, others
// of its port, as in nginx: the kernel would not let both be bound.
type servers struct {
	bound server
	exact map[netip.Addr]server
}

// of gives who serves a connection.
func (s *servers) of(conn net.Conn) server {
	if len(s.exact) == 0 {
		return s.bound
	}
	if local, ok := conn.LocalAddr().(interface{ AddrPort() netip.AddrPort }); ok {
		if exact := s.exact[local.AddrPort().Addr().Unmap()]; exact != nil {
			return exact
		}
	}
	return s.bound
}

// ports are all addresses of a cycle.
func (c *Cycle) ports() []port {
	var all []port
	if c.site != nil {
		for _, p := range c.site.Ports() {
			all = append(all, port{addr: p.Addr, options: p.Options, server: p})
		}
	}
	if c.stream != nil {
		for _, p := range c.stream.Ports() {
			all = append(all, port{addr: p.Addr, options: p.Options, udp: p.UDP, last: p.KeepUntilLast, sessions: p.MaxSessions, server: p})
		}
	}
	return all
}

// sockets groups ports by the socket that they share. An address given on both sides comes out twice, so that binding
// it fails and says so.
func sockets(ports []port) []socket {
	type family struct {
		port uint16
		is4  bool
		udp  bool
	}
	wildcards := map[family]int{} // places in out
	var out []socket
	// Wildcards come first, so that the others find them.
	ordered := slices.Clone(ports)
	slices.SortStableFunc(ordered, func(a, b port) int {
		return cmp.Compare(rank(a.addr), rank(b.addr))
	})
	for _, p := range ordered {
		f := family{p.addr.Port(), p.addr.Addr().Is4(), p.udp}
		if at, ok := wildcards[f]; ok && !p.addr.IsUnix() && !p.addr.Wildcard() && !p.options.Bind {
			out[at].servers.exact[p.addr.Addr()] = p.server
			out[at].sessions = max(out[at].sessions, p.sessions)
			continue
		}
		s := socket{key: socketKey{p.addr, p.options.IPv6Only && p.addr.Addr().Is6(), p.udp}, options: p.options, last: p.last, sessions: p.sessions,
			servers: &servers{bound: p.server}}
		if s.options.Backlog == 0 {
			s.options.Backlog = sockaddr.DefaultBacklog
		}
		if p.addr.Wildcard() {
			s.servers.exact = map[netip.Addr]server{}
			wildcards[f] = len(out)
		}
		out = append(out, s)
	}
	return out
}

func rank(a sockaddr.Addr) int {
	if a.Wildcard() {
		return 0
	}
	return 1
}

// find gives who serves the connections of an address, nil for nobody; a wildcard's server takes what no other does.
func (c *Cycle) find(addr sockaddr.Addr) func(net.Conn) {
	var found server
	for _, p := range c.ports() {
		switch {
		case p.udp:
		case p.addr == addr:
			return p.server.Serve
		case p.addr.Wildcard() && p.addr.Port() == addr.Port() && !addr.IsUnix() && p.addr.Addr().Is4() == addr.Addr().Is4():
			found = p.server
		}
	}
	if found == nil {
		return nil
	}
	return found.Serve
}
