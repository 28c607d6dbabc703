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
	"starling/logs"
	"starling/nginx/sockaddr"
	"starling/plan"
	"starling/side"
	"starling/ssl"
)

// Session is one accepted connection. It belongs to the goroutine that serves it, and when it is Parked to whoever
// parked it.
type Session struct {
	// Conn is the connection to the client, after the handshake the encrypted one. It counts what it carries.
	Conn net.Conn
	// TLS is the same connection where it is encrypted, else nil.
	TLS    *tls.Conn
	Server *Server
	// Number is $connection: unique in the process.
	Number    uint64
	StartedAt time.Time
	// Remote is the client; realip may replace it. ConnectedFrom is the other end of the socket. They are zero for unix
	// sockets.
	Remote, ConnectedFrom, Local netip.AddrPort
	// Proxied is what the PROXY protocol told, nil where it is not spoken or told nothing.
	Proxied *proxyprotocol.Header
	// Status is set when the session ends; it is 0 before.
	Status int
	// Peer is what is known of an encrypted client after the handshake, else nil.
	Peer *ssl.Peer
	// Content is what the family that serves the session keeps of it for its variables.
	Content any
	// LogNote, if set, adds to the session's lines in the error log; its text begins with a comma.
	LogNote func() string

	side.State

	port     *Port
	zone     *StatusZone
	raw      net.Conn
	ahead    []byte // what was read of the client before its turn
	peek     []byte // what was looked at without reading it
	deadline time.Time
	passed   bool // to another address, which serves it from then on
	counters counters
	ends     []func()
	released sync.Once
}

type counters struct{ received, sent atomic.Int64 }

// counted is a connection that counts plain bytes and gives what was read ahead first. NetConn makes options of the
// socket reachable, as with tls.Conn.
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

// BytesReceived and BytesSent count what the client sent and got, without TLS around it.
func (s *Session) BytesReceived() int64 { return s.counters.received.Load() }

// BytesSent counts what the client got, without TLS around it.
func (s *Session) BytesSent() int64 { return s.counters.sent.Load() }

// Socket is the client's TCP connection where bytes may be moved past Conn, so that the kernel can do it; whoever does
// counts them with Moved. It is nil where TLS or something read ahead stands between.
func (s *Session) Socket() *net.TCPConn {
	if s.TLS != nil || len(s.ahead) > 0 {
		return nil
	}
	socket, _ := s.raw.(*net.TCPConn)
	return socket
}

// Moved counts bytes that were moved past Conn.
func (s *Session) Moved(received, sent int64) {
	s.counters.received.Add(received)
	s.counters.sent.Add(sent)
}

// CloseWrite tells the client that nothing more will come.
func (s *Session) CloseWrite() error {
	if s.TLS != nil {
		return s.TLS.CloseWrite()
	}
	if half, ok := s.raw.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// NextDatagram takes the next datagram of a UDP client, or tells that none waits.
func (s *Session) NextDatagram() (data []byte, ok bool, err error) {
	if data = s.ahead; len(data) > 0 {
		s.ahead = nil
		return data, true, nil
	}
	data, ok, err = s.raw.(*packets.Conn).Poll()
	s.counters.received.Add(int64(len(data)))
	return data, ok, err
}

// HasDatagram tells whether NextDatagram has something to tell.
func (s *Session) HasDatagram() bool { return len(s.ahead) > 0 || s.raw.(*packets.Conn).Waits() }

// Attend sets who hears of a UDP client's datagrams, and of those that wait already.
func (s *Session) Attend(r packets.Receiver) { s.raw.(*packets.Conn).Attend(r) }

// Forget has further datagrams of a UDP client begin another session.
func (s *Session) Forget() {
	if udp, ok := s.raw.(*packets.Conn); ok {
		udp.Forget()
	}
}

// IsUDP tells sessions of datagrams from connections.
func (s *Session) IsUDP() bool { return s.port.UDP }

// Address is the address that was listened on for the session.
func (s *Session) Address() sockaddr.Addr { return s.port.Addr }

// NoDelay tells whether small pieces are to be sent at once.
func (s *Session) NoDelay() bool { return s.Server.settings.NoDelay }

// Now reads the clock of the configuration.
func (s *Session) Now() clock.Reading { return s.port.site.plan.Clock.Now() }

// Stamps gives the forms in which logs write a moment.
func (s *Session) Stamps(at time.Time) *logs.Stamps { return s.port.site.times.At(at) }

// Plan is the configuration that serves the session.
func (s *Session) Plan() *plan.Plan { return s.port.site.plan }

// Context ends when the session is to end by force.
func (s *Session) Context() context.Context { return s.port.site.context }

// Copy keeps bytes for as long as the session lives.
func (s *Session) Copy(b []byte) []byte { return bytes.Clone(b) }

// Client is the client's address, the zero Addr for a unix socket.
func (s *Session) Client() netip.Addr { return s.Remote.Addr() }

// AtEnd has f called when the session has ended; see Release.
func (s *Session) AtEnd(f func()) { s.ends = append(s.ends, f) }

// Release gives back what the session has taken from others (AtEnd), once. The end of the session does so; who serves
// it may do so before, when nothing will be moved any more: a client that has all it wanted may come again at once.
func (s *Session) Release() {
	s.released.Do(func() {
		for i := len(s.ends) - 1; i >= 0; i-- {
			s.ends[i]()
		}
	})
}

// Detach says that another now owns the session's life: the server does not wait for it when a configuration
// retires, nor end it by force. The handler still returns when it is over.
func (s *Session) Detach() { s.port.site.gate.Detach(s) }

// RemoteText is the client's address as logs name it: an IP, or "unix:".
func (s *Session) RemoteText() string {
	if !s.Remote.IsValid() {
		return "unix:"
	}
	return s.Remote.Addr().String()
}

// Logf writes a line to the error log of the session's server, with what nginx says about a session behind it.
func (s *Session) Logf(level logs.Level, format string, args ...any) {
	log := s.Server.Log
	if !log.Enabled(level) {
		return
	}
	note := ""
	if s.LogNote != nil {
		note = s.LogNote()
	}
	all := append([]any{s.Number}, args...)
	all = append(all, udpWord(s.port.UDP), s.RemoteText(), s.port.Addr, note)
	format = "*%d " + format + ", %sclient: %s, server: %s%s"
	if s.Server.Sparing != nil && level <= logs.Warn {
		key := fmt.Sprintf(format, append([]any{0}, all[1:]...)...) // alike but for the number
		s.Server.Sparing.Logf(level, key, format, all...)
		return
	}
	log.Logf(level, format, all...)
}

// addrPort is the IP and port of an address, zero where it has none. IPv4 in IPv6 is shown as IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	ip, ok := a.(interface{ AddrPort() netip.AddrPort }) // *net.TCPAddr, *net.UDPAddr
	if !ok {
		return netip.AddrPort{}
	}
	ap := ip.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
