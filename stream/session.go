package stream

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"starling/lib/clock"
	"starling/lib/proxyprotocol"
	"starling/lib/regex"
	"starling/observe"
	"starling/plan"
	"starling/ssl"
)

// Session is one accepted connection. It belongs to the goroutine that serves it.
type Session struct {
	// Conn is the connection to the client, after the handshake the encrypted one. It counts what it carries.
	Conn net.Conn
	// TLS is the same connection where it is encrypted, else nil.
	TLS    *tls.Conn
	Server *Server
	// Number is $connection: unique in the process.
	Number    uint64
	StartedAt time.Time
	// Remote is the client; realip may replace it. ConnectedFrom is the other end of the socket. They are zero for unix sockets.
	Remote, ConnectedFrom, Local netip.AddrPort
	// Proxied is what the PROXY protocol told, nil where it is not spoken or told nothing.
	Proxied *proxyprotocol.Header
	// Status is set when the session ends; it is 0 before.
	Status int
	// Peer is what is known of an encrypted client after the handshake, else nil.
	Peer *ssl.Peer
	// Captures are those of the last regular expression that matched ($1 to $9).
	Captures regex.Captures
	// Nesting counts the variables whose values are just being found by each other; see package lookups.
	Nesting int

	port     *Port
	raw      net.Conn
	counters counters
	slots    [][]byte
	ends     []func()
	detached atomic.Bool
}

type counters struct{ received, sent atomic.Int64 }

// counted is a connection that counts plain bytes. NetConn makes options of the socket reachable, as with tls.Conn.
type counted struct {
	net.Conn
	*counters
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received.Add(int64(n))
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// NetConn returns the connection below.
func (c counted) NetConn() net.Conn { return c.Conn }

// BytesReceived and BytesSent count what the client sent and got, without TLS around it.
func (s *Session) BytesReceived() int64 { return s.counters.received.Load() }

// BytesSent counts what the client got, without TLS around it.
func (s *Session) BytesSent() int64 { return s.counters.sent.Load() }

// Now reads the clock of the configuration.
func (s *Session) Now() clock.Reading { return s.port.site.plan.Clock.Now() }

// Plan is the configuration that serves the session.
func (s *Session) Plan() *plan.Plan { return s.port.site.plan }

// Context ends when the session is to end by force.
func (s *Session) Context() context.Context { return s.port.site.context }

// Slot returns a value kept with SetSlot, nil at first.
func (s *Session) Slot(i int) []byte { return s.slots[i] }

// SetSlot keeps a value in the session; i comes from NewSlot.
func (s *Session) SetSlot(i int, value []byte) { s.slots[i] = value }

// AtEnd has f called when the session has ended, after the log phase.
func (s *Session) AtEnd(f func()) { s.ends = append(s.ends, f) }

// Detach says that another now owns the session's life: the server does not wait for it when a configuration
// retires, nor end it by force. The handler still returns when it is over.
func (s *Session) Detach() {
	if !s.detached.Swap(true) {
		s.port.site.detach(s)
	}
}

// RemoteText is the client's address as logs name it: an IP, or "unix:".
func (s *Session) RemoteText() string {
	if !s.Remote.IsValid() {
		return "unix:"
	}
	return s.Remote.Addr().String()
}

// Logf writes a line to the error log of the session's server, with what nginx says about a session behind it.
func (s *Session) Logf(level observe.Level, format string, args ...any) {
	log := s.Server.Log
	if !log.Enabled(level) {
		return
	}
	all := append([]any{s.Number}, args...)
	log.Logf(level, "*%d "+format+", client: %s, server: %s", append(all, s.RemoteText(), s.port.Addr)...)
}

// addrPort is the IP and port of an address, zero where it has none. IPv4 in IPv6 is shown as IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
