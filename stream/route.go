package stream

import (
	"context"
	"net"
	"time"

	"starling/upstream"
	"starling/upstream/groups"
)

// Route is how the sessions of a server get to the servers of a group. The family that forwards them sets it, for the
// health checks.
type Route struct {
	// Group is nil if it depends on the session.
	Group *groups.Group[*Session]
	// Dial connects to a server at an address as it does for a session. header is what must precede the first datagram.
	Dial func(ctx context.Context, s *Session, to *upstream.Server, at upstream.Address) (
		c *upstream.Conn, header []byte, err error)
	// BufferBytes is how much is read from a server at once.
	BufferBytes int64
}

// Standalone makes sessions of one server that no client has opened: those of its health checks. They run no phase.
type Standalone struct {
	server *Server
	port   *Port
}

// Standalone is for the server being built. Its sessions can begin once the configuration has started. udp means that
// they use datagrams.
func (b *Block) Standalone(udp bool) *Standalone {
	site := &Site{plan: b.Plan, context: context.Background()}
	return &Standalone{b.Server, &Port{UDP: udp, site: site, hosts: &hosts{Default: b.Server}}}
}

// Session returns a new session.
func (n *Standalone) Session() *Session {
	s := &Session{Server: n.server, port: n.port, StartedAt: time.Now(), raw: noClient}
	s.Conn = &counted{noClient, s}
	s.Reserve(Side.Slots(n.port.site.plan))
	return s
}

// noClient is the connection of sessions without a client.
var noClient net.Conn = func() net.Conn {
	ours, theirs := net.Pipe()
	ours.Close()
	theirs.Close()
	return ours
}()
