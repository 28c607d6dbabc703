package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"starling/lib/clock"
	"starling/nginx/errno"
	"starling/ssl"

	"golang.org/x/sys/unix"
)

// Conn is a connection to a server, plain or TLS.
type Conn struct {
	net.Conn
	Server *Server
	// Requests counts the requests sent over it; the user adds one per request.
	Requests int
	// Reused means that it served a request before: a failure at its first byte says nothing about the server.
	Reused bool
	// Owner is the location that used it last; Attachment is kept for that user between requests.
	Owner, Attachment any

	openedMS, idleFromMS int64
	links                [2]link
	raw                  syscall.RawConn
	look                 func(fd uintptr) // made once, so that a check does not allocate
	poll                 [1]unix.PollFd
	silent               bool
}

// Age is the time since it was established.
func (c *Conn) Age(now clock.Reading) time.Duration {
	return time.Duration(now.MonoMS-c.openedMS) * time.Millisecond
}

// Dialer opens connections to servers with one set of options.
type Dialer struct {
	// Timeout limits the connect and, separately, the TLS handshake.
	Timeout time.Duration
	// Bind is the local address to connect from (proxy_bind); a port of 0 is any.
	Bind netip.AddrPort
	// Probe enables TCP keepalive probes (proxy_socket_keepalive).
	Probe bool
	// Datagrams requests a UDP socket; Timeout then has no effect.
	Datagrams bool
	// Brief connects for a single health check: a plain TCP connection saves what only longer ones need.
	Brief bool
	// Preface is sent as soon as the connection is established, before any TLS (the PROXY protocol header).
	Preface []byte
	// TLS is not nil for a TLS connection; its ServerName is sent as it is.
	TLS *tls.Config
	// Handshakes counts those of all servers.
	Handshakes *ssl.Handshakes
	Clock      *clock.Clock
}

// DialError is a failed connection. Its text is nginx's for the error log.
type DialError struct {
	// TimedOut means 504 rather than 502.
	TimedOut bool
	// TLS means that the connection was established and the handshake failed.
	TLS bool
	Err error
}

func (e *DialError) Error() string { return e.Reason() + " while " + e.Step() }

// Step is what failed.
func (e *DialError) Step() string {
	if e.TLS {
		return "SSL handshaking to upstream"
	}
	return "connecting to upstream"
}

// Reason is why it failed.
func (e *DialError) Reason() string {
	switch {
	case e.TimedOut:
		return "upstream timed out (110: Connection timed out)"
	case e.TLS:
		return errno.Message(e.Err)
	}
	return errno.Failure("connect", e.Err)
}

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// Dial connects to a server. Errors are *DialError.
func (d *Dialer) Dial(ctx context.Context, s *Server) (*Conn, error) { return d.DialAt(ctx, s, s.Addr) }

// DialAt is Dial to another address of the server: its health checks can use a port of their own.
func (d *Dialer) DialAt(ctx context.Context, s *Server, at Address) (*Conn, error) {
	plain, err := d.connect(ctx, at)
	if err != nil {
		return nil, &DialError{TimedOut: timedOut(err), Err: err}
	}
	c, err := hold(plain, s, d.Clock)
	if err != nil {
		return nil, err
	}
	if err := d.sendPreface(plain); err != nil {
		plain.Close()
		return nil, &DialError{TimedOut: timedOut(err), Err: err}
	}
	if d.TLS == nil {
		return c, nil
	}
	sealed := tls.Client(plain, d.TLS)
	if d.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Timeout)
		defer cancel()
	}
	if err := sealed.HandshakeContext(ctx); err != nil {
		plain.Close()
		d.Handshakes.Failed(err)
		s.Stats.handshakes().Failed(err)
		return nil, &DialError{TLS: true, TimedOut: timedOut(err), Err: adviseProtocols(err, d.TLS.NextProtos)}
	}
	resumed := sealed.ConnectionState().DidResume
	d.Handshakes.Done(resumed)
	s.Stats.handshakes().Done(resumed)
	c.Conn = sealed
	return c, nil
}

// hold makes a Conn of an established connection.
func hold(plain net.Conn, s *Server, clock *clock.Clock) (c *Conn, err error) {
	c = &Conn{Conn: plain, Server: s, openedMS: clock.Now().MonoMS}
	if sys, ok := plain.(syscall.Conn); ok {
		if c.raw, err = sys.SyscallConn(); err != nil {
			plain.Close()
			return nil, &DialError{Err: err}
		}
	}
	c.look = c.peek
	return c, nil
}

// adviseProtocols adds what to do if the server takes none of the offered protocols. crypto/tls has only a text for its
// alert.
func adviseProtocols(err error, offered []string) error {
	if len(offered) == 0 || !strings.HasSuffix(err.Error(), "tls: no application protocol") {
		return err
	}
	advice := "take one that it has into proxy_ssl_alpn"
	if slices.Equal(offered, []string{"h2"}) {
		advice = "enable HTTP/2 there, or use proxy_pass with \"proxy_http_version 1.1\""
	}
	return fmt.Errorf("%w (the server takes no ALPN protocol of \"%s\"; %s)", err, strings.Join(offered, " "), advice)
}

func (d *Dialer) connect(ctx context.Context, to Address) (net.Conn, error) {
	if d.Brief {
		if conn, ok, err := d.dialBrief(ctx, to); ok {
			return conn, err
		}
	}
	dialer := net.Dialer{Timeout: d.Timeout, KeepAlive: -1}
	if d.Probe {
		dialer.KeepAlive = 0
	}
	if to.Network == "unix" {
		return dialer.DialUnix(ctx, "unix", nil, &net.UnixAddr{Net: "unix", Name: to.Path})
	}
	network := "tcp"
	if d.Datagrams {
		network = "udp"
	}
	if !d.Bind.IsValid() {
		// DialTCP and DialUDP would bind the socket to any address, and so to a port that no other connection can have,
		// whatever its server is: there are some 28,000 of those, and finding a free one takes long once many are used.
		return dialer.DialContext(ctx, network, to.IP.String())
	}
	if d.Bind.Port() == 0 {
		dialer.Control = bindWithoutPort
	}
	if d.Datagrams {
		return dialer.DialUDP(ctx, network, d.Bind, to.IP)
	}
	return dialer.DialTCP(ctx, network, d.Bind, to.IP)
}

func (d *Dialer) sendPreface(conn net.Conn) error {
	if len(d.Preface) == 0 {
		return nil
	}
	if d.Timeout > 0 {
		if err := conn.SetWriteDeadline(time.Now().Add(d.Timeout)); err != nil {
			return err
		}
	}
	if _, err := conn.Write(d.Preface); err != nil {
		return err
	}
	return conn.SetWriteDeadline(time.Time{})
}

func timedOut(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, syscall.ETIMEDOUT)
}

// quiet checks whether an idle connection is still open and silent. One with unread bytes is out of step and unusable.
func (c *Conn) quiet() bool {
	if c.raw == nil {
		return true
	}
	if err := c.raw.Control(c.look); err != nil {
		return false
	}
	return c.silent
}

// Discard closes a connection that its user kept idle; Alive checks it before it is used again.
func (c *Conn) Discard() { c.abandon() }

// Alive reports whether an idle connection can be used again, and marks it as reused.
func (c *Conn) Alive() bool {
	c.Reused = true
	return c.quiet()
}

// abandon closes an idle connection at once: a TLS close_notify would be written to a peer that may not read.
func (c *Conn) abandon() {
	if over, ok := c.Conn.(interface{ NetConn() net.Conn }); ok { // TLS, or what a protocol put around it
		over.NetConn().Close()
		return
	}
	c.Conn.Close()
}
