package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"starling/lib/clock"
	"starling/lib/packets"
	"starling/lib/proxyprotocol"
	"starling/lib/stripes"
	"starling/logs"
	"starling/nginx/sockaddr"
	"starling/plan"
	"starling/side"
	"starling/ssl"
)

// Session is one accepted connection. It belongs to the goroutine that serves it, and when Parked to the code that
// parked it.
type Session struct {
	// Conn is the connection to the client, after the handshake the encrypted one. It counts its bytes.
	Conn net.Conn
	// TLS is the same connection if it is encrypted, otherwise nil.
	TLS    *tls.Conn
	Server *Server
	// Number is $connection: unique in the process.
	Number    uint64
	StartedAt time.Time
	// Remote is the client; realip may replace it. ConnectedFrom is the other end of the socket. They are zero for unix
	// sockets.
	Remote, ConnectedFrom, Local netip.AddrPort
	// Proxied is the PROXY protocol header, nil if it is not used or has no addresses.
	Proxied *proxyprotocol.Header
	// Status is set when the session ends; it is 0 before.
	Status int
	// Peer is what is known of an encrypted client after the handshake, otherwise nil.
	Peer *ssl.Peer
	// Offer is what the client offers, during the handshake.
	Offer *ssl.Offer
	// Content is the state of the session's family for its variables.
	Content any
	// LogNote, if set, is added to the session's lines in the error log.
	LogNote func() logs.Context

	side.State

	port     *Port
	zone     *StatusZone
	pick     stripes.Pick // of the counters of zones
	raw      net.Conn
	ahead    []byte // bytes of the client that were read ahead
	peek     []byte // bytes that were peeked
	deadline time.Time
	passed   bool // to another address, which serves it from then on
	counters counters
	ends     []func()
	fence    *side.Fence // nil: the session is in none
	fences   bool        // it has made that fence, and ends it
	released sync.Once
}

type counters struct{ received, sent atomic.Int64 }

// counted is a connection that counts plain bytes and returns bytes that were read ahead first. NetConn gives access to
// socket options, as with tls.Conn.
type counted struct {
	net.Conn
	s *Session
}

func (c *counted) Read(p []byte) (int, error) {
	if len(c.s.ahead) > 0 {
		n := copy(p, c.s.ahead)
		c.s.ahead = c.s.ahead[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p)
	c.s.counters.received.Add(int64(n))
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.s.counters.sent.Add(int64(n))
	return n, err
}

// NetConn returns the connection below.
func (c *counted) NetConn() net.Conn { return c.Conn }

// BytesReceived counts the client's bytes, without TLS.
func (s *Session) BytesReceived() int64 { return s.counters.received.Load() }

// BytesSent counts the bytes sent to the client, without TLS.
func (s *Session) BytesSent() int64 { return s.counters.sent.Load() }

// Socket is the client's TCP connection if bytes can be moved without Conn, so that the kernel can do it; the caller
// counts them with Moved. It is nil with TLS or bytes that were read ahead.
func (s *Session) Socket() *net.TCPConn {
	if s.TLS != nil || len(s.ahead) > 0 {
		return nil
	}
	socket, _ := s.raw.(*net.TCPConn)
	return socket
}

// Moved counts bytes that were moved without Conn.
func (s *Session) Moved(received, sent int64) {
	s.counters.received.Add(received)
	s.counters.sent.Add(sent)
}

// CloseWrite closes the write side of the client's connection.
func (s *Session) CloseWrite() error {
	if s.TLS != nil {
		return s.TLS.CloseWrite()
	}
	if half, ok := s.raw.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// NextDatagram takes the next datagram of a UDP client, or reports that none waits.
func (s *Session) NextDatagram() (data []byte, ok bool, err error) {
	if data = s.ahead; len(data) > 0 {
		s.ahead = nil
		return data, true, nil
	}
	data, ok, err = s.raw.(*packets.Conn).Poll()
	s.counters.received.Add(int64(len(data)))
	return data, ok, err
}

// HasDatagram reports whether NextDatagram has a datagram or an error.
func (s *Session) HasDatagram() bool { return len(s.ahead) > 0 || s.raw.(*packets.Conn).Waits() }

// Attend sets the receiver of a UDP client's datagrams, including those that already wait.
func (s *Session) Attend(r packets.Receiver) { s.raw.(*packets.Conn).Attend(r) }

// Forget makes further datagrams of a UDP client start another session.
func (s *Session) Forget() {
	if udp, ok := s.raw.(*packets.Conn); ok {
		udp.Forget()
	}
}

// IsUDP distinguishes sessions of datagrams from connections.
func (s *Session) IsUDP() bool { return s.port.UDP }

// Pick is the session's choice among copies of counters; see stripes.
func (s *Session) Pick() *stripes.Pick { return &s.pick }

// Address is the listening address of the session.
func (s *Session) Address() sockaddr.Addr { return s.port.Addr }

// NoDelay reports whether small pieces must be sent at once.
func (s *Session) NoDelay() bool { return s.Server.settings.NoDelay }

// Now reads the clock of the configuration.
func (s *Session) Now() clock.Reading { return s.port.site.plan.Clock.Now() }

// Stamps returns a time in the formats of logs.
func (s *Session) Stamps(at time.Time) *logs.Stamps { return s.port.site.times.At(at) }

// Plan is the configuration that serves the session.
func (s *Session) Plan() *plan.Plan { return s.port.site.plan }

// Context is cancelled when the session must end by force.
func (s *Session) Context() context.Context {
	if s.fence != nil {
		return s.fence.Context()
	}
	return s.port.site.context
}

// Copy copies bytes for as long as the session lives.
func (s *Session) Copy(b []byte) []byte { return bytes.Clone(b) }

// Client is the client's address, the zero Addr for a unix socket.
func (s *Session) Client() netip.Addr { return s.Remote.Addr() }

// AtEnd has f called when the session has ended; see Release.
func (s *Session) AtEnd(f func()) { s.ends = append(s.ends, f) }

// Fence is the one in which the session is served, nil for most.
func (s *Session) Fence() *side.Fence { return s.fence }

// Enclose puts the session into a fence, with all that it starts from now on. If that falls, the client's connection
// ends.
func (s *Session) Enclose() *side.Fence {
	if !s.fences {
		s.fence, s.fences = side.NewFence(s.Context(), s.raw), true
	}
	return s.fence
}

// Release releases what the session has acquired (AtEnd), once. The end of the session calls it; the content can call
// it before, when no more bytes will be moved: a client that has everything can connect again at once.
func (s *Session) Release() {
	s.released.Do(func() {
		for i := len(s.ends) - 1; i >= 0; i-- {
			s.ends[i]()
		}
	})
}

// Detach passes the session's life to another owner: the server neither waits for it when a configuration retires nor
// ends it by force. The handler still returns when it is over.
func (s *Session) Detach() { s.port.site.gate.Detach(s) }

// RemoteText is the client's address for logs: an IP, or "unix:".
func (s *Session) RemoteText() string {
	if !s.Remote.IsValid() {
		return "unix:"
	}
	return s.Remote.Addr().String()
}

// Logf writes a line to the error log of the session's server and appends the session's details as nginx does.
func (s *Session) Logf(level logs.Level, format string, args ...any) {
	log := s.Server.Log
	if !log.Enabled(level) {
		return
	}
	context := logs.Context{
		{Name: "client", Label: udpWord(s.port.UDP) + "client", Value: s.RemoteText()},
		{Name: "server", Value: s.port.Addr.String()},
	}
	if s.LogNote != nil {
		context = append(context, s.LogNote()...)
	}
	all := logs.About(s.Number, args, context)
	format = "%v" + format + "%v"
	if s.Server.Sparing != nil && level <= logs.Warn {
		key := fmt.Sprintf(format, append([]any{""}, all[1:]...)...) // alike except for the number
		s.Server.Sparing.Logf(level, key, format, all...)
		return
	}
	log.Logf(level, format, all...)
}

// addrPort returns the IP and port of an address, zero if it has none. IPv4 in IPv6 becomes IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	ip, ok := a.(interface{ AddrPort() netip.AddrPort }) // *net.TCPAddr, *net.UDPAddr
	if !ok {
		return netip.AddrPort{}
	}
	ap := ip.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
