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
	// Retire says that no connection comes any more. Those that are there go on.
	Retire()
	// Close ends by force what Drained waits for.
	Close()
	// Drained is closed when a retired site has no connection left but those that are detached, Emptied when it has
	// none of these either.
	Drained() <-chan struct{}
	Emptied() <-chan struct{}
}

// Port is an address that a site wants to serve.
type Port struct {
	Addr    sockaddr.Addr
	Options sockaddr.Options
	// KeepUntilLast asks to go on listening, when the process ends gracefully, until all other sessions and requests
	// have ended.
	KeepUntilLast bool
	// Transport makes connections of the datagrams of a UDP socket; nil: the address is of TCP or a unix socket.
	Transport Transport
	// MaxSessions bounds the sessions of the UDP socket.
	MaxSessions int
	ConnHandler
}

// ConnHandler takes the connections of an address.
type ConnHandler interface {
	// Expect announces a connection: until it was served, or Unexpect takes the word back, the site is not drained.
	Expect()
	Unexpect()
	// ServeExpected serves a connection that was announced, and closes it. It returns when the connection has ended, or
	// goes on without the caller's goroutine.
	ServeExpected(conn net.Conn)
	// Serve is both.
	Serve(conn net.Conn)
}

// Transport makes a listener of a UDP socket.
type Transport interface {
	// Network tells transports apart ("udp", "quic"): a reload keeps the sockets of an address that has the same one.
	Network() string
	// Listen owns the socket from now on, and closes it where it fails. The listener outlives the configuration that it
	// is made for, so it asks handlerOf for settings when it needs some: for what takes connections to a
	// local address now, nil before the first configuration runs.
	Listen(socket *net.UDPConn, handlerOf func(local net.Addr) ConnHandler) (net.Listener, error)
}
