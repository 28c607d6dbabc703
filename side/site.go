package side

import (
	"net"

	"starling/admin"
	"starling/nginx/sockaddr"
)

// Site is one side of a configuration, ready to serve: *web.Site or *stream.Site. The cycle listens for it.
type Site interface {
	Ports() []Port
	Resources() []admin.Resource
	// Retire reports that no more connections will arrive. Existing ones continue.
	Retire()
	// Resume takes Retire back: connections arrive again.
	Resume()
	// Close forcibly ends the connections for which Drained waits.
	Close()
	// Drained is closed when a retired site has only detached connections left, Emptied when it has none at all.
	Drained() <-chan struct{}
	Emptied() <-chan struct{}
}

// Port is an address that a site serves.
type Port struct {
	Addr    sockaddr.Addr
	Options sockaddr.Options
	// KeepUntilLast keeps the port listening during a graceful shutdown until all other sessions and requests have
	// ended.
	KeepUntilLast bool
	// Transport makes connections from the datagrams of a UDP socket; nil for TCP and unix sockets.
	Transport Transport
	// MaxSessions bounds the sessions of the UDP socket.
	MaxSessions int
	ConnHandler
}

// ConnHandler takes the connections of an address.
type ConnHandler interface {
	// Expect announces a connection: until it is served, or Unexpect withdraws it, the site is not drained.
	Expect()
	Unexpect()
	// ServeExpected serves an announced connection, and closes it. It returns when the connection has ended, or
	// continues without the caller's goroutine.
	ServeExpected(conn net.Conn)
	// Serve is both.
	Serve(conn net.Conn)
	// ServeWithin serves a connection that a session passes on within the session's fence, nil for none.
	ServeWithin(fence *Fence, conn net.Conn)
}

// Transport makes a listener of a UDP socket.
type Transport interface {
	// Network distinguishes transports ("udp", "quic"): a reload keeps the sockets of an address if it is the same.
	Network() string
	// Listen takes ownership of the socket, and closes it if it fails. The listener outlives its configuration, so it
	// calls handlerOf for the current settings: those of connections to a local address, nil before the first
	// configuration runs.
	Listen(socket *net.UDPConn, handlerOf func(local net.Addr) ConnHandler) (net.Listener, error)
}
