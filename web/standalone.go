package web

import (
	"bytes"
	"net"

	"starling/web/h1"
)

// Standalone makes requests to one location that no client has sent: those of its health checks. They run no phase and
// have no response to a client.
type Standalone struct {
	conn     *Conn
	location *Location
}

// Standalone is for the location being built. Its requests can begin once the configuration has started.
func (b *Block) Standalone() *Standalone {
	port := &Port{site: b.builder.site, hosts: &hosts{Default: b.Server}}
	c := &Conn{shared: shared{
		Port: port, site: port.site, hosts: port.hosts, server: b.Server, Net: noClient, raw: noClient,
	}}
	return &Standalone{conn: c, location: b.Current}
}

// noClient is the connection of requests without a client.
var noClient net.Conn = func() net.Conn {
	ours, theirs := net.Pipe()
	ours.Close()
	theirs.Close()
	return ours
}()

// Do calls f with a GET request for a URI. The request is valid until f returns.
func (s *Standalone) Do(uri []byte, f func(*Request)) {
	r := s.conn.site.take(s.conn)
	r.sub.memory = memoryWire{beside: true, body: r.sub.memory.body[:0]}
	r.wire, r.in = &r.sub.memory, &h1.RequestHead{}
	r.Location, r.Internal, r.StartedAt = s.location, true, r.Now()
	r.Method, r.MethodID, r.Version = methodGet, h1.MethodGet, h1.Version11
	r.Target = uri
	r.Path, r.Query, _ = bytes.Cut(uri, []byte("?"))
	defer s.conn.site.give(r)
	f(r)
}
