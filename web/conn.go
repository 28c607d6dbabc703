package web

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"starling/lib/socketwatch"
	"starling/logs"
	"starling/nginx/errno"
	"starling/nginx/hostnames"
	"starling/side"
	"starling/ssl"
)

// States of a connection. Only its own goroutine and Retire change them, by compare-and-swap where both may.
const (
	stateFresh   int32 = iota // no request has started yet
	stateIdle                 // waits for another request
	stateBusy                 // within a request
	stateClosing              // was idle when the site retired
	stateStreams              // speaks HTTP/2
)

// freshGrace is how long a connection that was accepted shortly before the site retired can take to send its first
// request, and an HTTP/2 client to confirm the shutdown. nginx waits client_header_timeout; browsers open connections
// that they may never use, and a process that ends should not wait a minute for those.
const freshGrace = 5 * time.Second

// keptGrace is how long a kept connection can take to send a request in flight when the site retires: its client was
// told that the connection stays open. keepalive_min_timeout can extend it; nginx loses such requests if that is not
// set.
const keptGrace = 100 * time.Millisecond

// Expect announces a connection: the site is not drained before ServeExpected has served it or Unexpect withdraws it.
func (p *Port) Expect() { p.site.gate.Expect() }

// Unexpect takes Expect back.
func (p *Port) Unexpect() { p.site.gate.Unexpect() }

// Serve serves one connection until it ends, and closes it. The caller calls it in its own goroutine.
func (p *Port) Serve(nc net.Conn) { p.ServeWithin(nil, nc) }

// ServeWithin is Serve of a connection that a session of stream passes on within its fence.
func (p *Port) ServeWithin(fence *side.Fence, nc net.Conn) {
	p.Expect()
	p.serve(fence, nc)
}

// ServeExpected is Serve after Expect.
func (p *Port) ServeExpected(nc net.Conn) { p.serve(nil, nc) }

func (p *Port) serve(fence *side.Fence, nc net.Conn) {
	c := p.site.open(p, nc)
	c.fence = fence
	defer p.site.release(c)
	defer c.survive()
	c.serve()
}

func (s *Site) open(p *Port, nc net.Conn) *Conn {
	c := &Conn{shared: shared{Net: nc, Port: p, Serial: s.plan.Connections.Accepted(), OpenedAt: s.plan.Clock.Now()}}
	c.Local, c.Remote = addrPort(nc.LocalAddr()), addrPort(nc.RemoteAddr())
	c.whole, c.raw, c.site, c.hosts = c, nc, s, p.hosts
	c.server = c.hosts.Default
	if s.gate.Enter(c) {
		nc.Close() // the site was closed since the connection was accepted
	}
	return c
}

// addrPort returns the IP and port of an address, invalid if it has none. IPv4 in IPv6 becomes IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

func (s *Site) release(c *Conn) {
	s.plan.Connections.Closed() // before the client can know, which may read the counts next
	c.forgetSocket()
	c.bindings.end()
	c.Net.Close() // a failure cannot be handled any more
	c.buf.Detach()
	c.out.Release()
	s.gate.Leave(c)
}

// endHangups is called when a retired site has no connections left.
func (s *Site) endHangups() {
	if err := s.watcher.Close(); err != nil {
		s.servers[0].Log.Logf(logs.Alert, "closing an epoll instance failed: %v", err)
	}
}

// Retire closes idle connections after keptGrace and lets busy ones end with their request. It can be called more than
// once.
func (s *Site) Retire() {
	s.gate.Retire(func(c *Conn, _ bool) {
		if c.state.CompareAndSwap(stateIdle, stateClosing) {
			c.raw.SetReadDeadline(c.keptUntil()) // then it closes itself
			return
		}
		switch c.state.Load() {
		case stateFresh:
			c.raw.SetReadDeadline(time.Now().Add(freshGrace))
		case stateStreams:
			c.http2.Shutdown(freshGrace)
		}
	})
}

// Resume takes Retire back: the site serves new connections again.
func (s *Site) Resume() { s.gate.Reopen(func() { s.watcher = socketwatch.Lazy{} }) }

// Drained is closed when a retired site has no connections left.
func (s *Site) Drained() <-chan struct{} { return s.gate.Drained() }

// Emptied is Drained: http connections are never detached.
func (s *Site) Emptied() <-chan struct{} { return s.gate.Emptied() }

// Close closes all connections at once; requests in progress fail.
func (s *Site) Close() {
	s.Retire()
	s.gate.Close(func(c *Conn, _ bool) { c.raw.Close() })
	s.cancel()
}

// survive prevents a panic in serving one connection from ending all others.
func (c *Conn) survive() {
	if reason := recover(); reason != nil {
		c.server.Log.Logf(logs.Alert, "%vpanic while serving a request: %v %s",
			logs.Connection(c.Serial), reason, debug.Stack())
	}
}

// serve serves one request after another.
func (c *Conn) serve() {
	if k := c.hosts.KeepAlive; k.Set {
		if err := k.Apply(c.raw); err != nil {
			c.server.Log.Logf(logs.Alert, "%vsetsockopt(SO_KEEPALIVE) failed (%v)", logs.Connection(c.Serial), err)
		}
	}
	if !c.server.Core.NoDelay {
		if tcp, ok := c.raw.(*net.TCPConn); ok {
			tcp.SetNoDelay(false) // only a matter of speed
		}
	}
	if c.hosts.Proxied && !c.readProxied() {
		return
	}
	if c.hosts.TLS && !c.handshake() {
		return
	}
	c.buf.Attach(c.Net)
	if c.TLS != nil && c.TLS.NegotiatedProtocol == protocolHTTP2 {
		c.serveHTTP2()
		return
	}
	c.out.Attach(c.Net)
	timeout := c.server.Core.HeaderTimeout
	for c.await(timeout) {
		if c.Requests == 0 && c.beginsHTTP2() {
			c.serveHTTP2()
			return
		}
		c.Requests++
		r := c.site.take(c)
		r.wire = &r.h1
		keep := c.serveRequest(r)
		timeout = r.Location.Core.KeepAlive.Timeout
		c.keepAtLeast(min(timeout, r.Location.Core.KeepAliveMin))
		c.site.give(r)
		if !keep {
			return
		}
	}
}

// keepAtLeast keeps the connection open for that long after a request, even if the site retires.
func (c *Conn) keepAtLeast(least time.Duration) {
	if least > 0 {
		c.leastUntil.Store(time.Now().Add(least).UnixNano())
	} else {
		c.leastUntil.Store(0)
	}
}

// keptUntil is how long a kept connection waits for a request once the site has retired.
func (c *Conn) keptUntil() time.Time {
	at := time.Now().Add(keptGrace)
	if least := time.Unix(0, c.leastUntil.Load()); least.After(at) {
		return least
	}
	return at
}

// serveRequest serves one request. A panic ends the connection, but only after the AtEnd callbacks of everything that
// holds state during the request.
func (c *Conn) serveRequest(r *Request) (keep bool) {
	defer func() {
		if reason := recover(); reason != nil {
			r.panicked = true
			c.server.Log.Logf(logs.Alert, "%vpanic while serving a request: %v %s",
				logs.Connection(c.Serial), reason, debug.Stack())
			keep = false
		}
	}()
	return r.serve()
}

// await waits for the first byte of a request, without holding memory. false ends the connection.
func (c *Conn) await(timeout time.Duration) bool {
	c.buf.Recycle()
	if c.pipelined = len(c.buf.Unread()) > 0; c.pipelined {
		return true
	}
	c.out.Release()
	// The deadline is set before the state shows that the connection waits, so that Retire's own deadline comes last.
	c.readWithin(timeout)
	from := stateFresh
	if c.Requests > 0 {
		from = stateIdle
		c.state.Store(stateIdle)
		if c.site.gate.Retired() {
			c.raw.SetReadDeadline(c.keptUntil())
		}
	} else if c.site.gate.Retired() {
		c.raw.SetReadDeadline(time.Now().Add(freshGrace))
	}
	c.waits.Store(true)
	defer c.waits.Store(false)
	// Under load, other goroutines run meanwhile, and when this one runs again, its next request has arrived: this
	// saves a read that finds nothing.
	runtime.Gosched()
	err := c.buf.Wait()
	if !c.state.CompareAndSwap(from, stateBusy) || c.site.gate.Retired() {
		err = c.lastLook(err)
	}
	if err != nil && !errors.Is(err, io.EOF) && c.server.Log.Enabled(logs.Info) {
		c.logWaiting(err)
	}
	return err == nil
}

// lastLook is called for a connection that waited when the site retired and whose wait has ended: a request that
// arrived just in time is served as its last one.
func (c *Conn) lastLook(err error) error {
	if isTimeout(err) && c.readable() {
		c.raw.SetReadDeadline(time.Now().Add(keptGrace)) // enough to read what is there
		err = c.buf.Wait()
	}
	c.state.Store(stateBusy)
	// Retire sets its deadline under the lock; it must not interrupt the reading of a request that starts now.
	c.site.gate.Locked(c.readUntil.Forget)
	return err
}

func (c *Conn) logWaiting(err error) {
	what := errno.Message(err)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if c.Requests > 0 {
			return // the usual end of a kept connection
		}
		what = "client timed out (110: Connection timed out)"
	}
	c.Logf(logs.Info, "%s while waiting for request", what)
}

// remoteText is the client's address for logs.
func (c *Conn) remoteText() string {
	if !c.Remote.IsValid() {
		return "unix:"
	}
	return c.Remote.Addr().String()
}

// readWithin makes reads fail after timeout, or up to deadline.Slack later.
func (c *Conn) readWithin(timeout time.Duration) {
	if at, due := c.readUntil.Renew(c.site.plan.Clock.Now().MonoMS, timeout); due {
		c.raw.SetReadDeadline(at) // fails only on closed sockets, as the read will
	}
}

// readFirstWithin is readWithin for the time before the first request, when Retire may already have set its own
// deadline.
func (c *Conn) readFirstWithin(timeout time.Duration) {
	c.readWithin(timeout)
	if c.site.gate.Retired() {
		c.raw.SetReadDeadline(time.Now().Add(min(timeout, freshGrace)))
	}
}

// writeWithin is readWithin for writes.
func (c *Conn) writeWithin(timeout time.Duration) {
	if at, due := c.writeUntil.Renew(c.site.plan.Clock.Now().MonoMS, timeout); due {
		c.raw.SetWriteDeadline(at)
	}
}

// readProxied reads the header of the PROXY protocol, within client_header_timeout.
func (c *Conn) readProxied() bool {
	c.readFirstWithin(c.server.Core.HeaderTimeout)
	var err error
	c.Proxied, err = side.ReadProxied(c.raw, c)
	return err == nil
}

// peeked is a connection of which one byte was read to detect TLS.
type peeked struct {
	net.Conn
	first [1]byte
	n     int // bytes of first not yet read
}

// Read returns that byte first.
func (c *peeked) Read(p []byte) (int, error) {
	if c.n > 0 && len(p) > 0 {
		c.n = 0
		p[0] = c.first[0]
		return 1, nil
	}
	return c.Conn.Read(p)
}

// The first bytes of TLS: a handshake record, or the header of SSLv2's hello.
const (
	recordHandshake = 0x16
	sslv2Bit        = 0x80
)

// handshake performs the TLS handshake, or finds that the client does not use TLS (error 497).
func (c *Conn) handshake() bool {
	c.readFirstWithin(c.server.Core.HeaderTimeout)
	c.writeWithin(c.server.Core.HeaderTimeout)
	under := &peeked{Conn: c.raw}
	if n, err := c.raw.Read(under.first[:]); n == 0 {
		if err != nil && !errors.Is(err, io.EOF) {
			c.logWaiting(err)
		}
		return false
	}
	under.n = 1
	if b := under.first[0]; b != recordHandshake && b&sslv2Bit == 0 {
		c.plainToTLS = true
		c.Net = under
		return true
	}
	conn := tls.Server(under, c.hosts.Handshake)
	if err := conn.HandshakeContext(side.WithSubject(context.Background(), c)); err != nil {
		c.countHandshake(func(h *ssl.Handshakes) { h.Failed(err) })
		c.Logf(logs.Info, "SSL_do_handshake() failed (%v) while SSL handshaking", err)
		return false
	}
	state := conn.ConnectionState()
	c.TLS, c.Net = &state, conn
	var refusal error
	if c.server.Inspect != nil {
		c.Peer = c.server.Inspect(c, &state)
		refusal = c.server.VerifyClient.Check(c.Peer)
	}
	c.Offer = nil
	c.countHandshake(func(h *ssl.Handshakes) {
		h.Done(state.DidResume)
		h.Unverified(refusal)
	})
	return true
}

// countHandshake counts in the process and in the zone of the server that TLS named.
func (c *Conn) countHandshake(count func(*ssl.Handshakes)) {
	count(c.site.traffic.Handshakes)
	if z := c.server.zone.fixed; z != nil {
		count(z.handshakes)
	}
}

// configForClient chooses the virtual server by SNI.
func configForClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c := side.SubjectOf[*Conn](hello)
	if name, ok := hostnames.Clean(hello.ServerName); ok {
		if s, found := c.hosts.Lookup(name); found && s.TLS != nil {
			c.server, c.named = s, true
		}
	}
	c.Offer = ssl.OfferOf(hello)
	config := c.server.TLS
	if c.hosts.HTTP2 || c.server.Core.HTTP2 {
		config = c.server.tlsHTTP2
	}
	if config.GetConfigForClient != nil {
		return config.GetConfigForClient(hello)
	}
	return config, nil
}

// Logf writes entries to the error log of the connection's server that belong to no request.
func (c *Conn) Logf(level logs.Level, format string, args ...any) {
	if log := c.server.Log; log.Enabled(level) {
		context := logs.Context{{Name: "client", Value: c.remoteText()}, {Name: "server", Value: c.Port.Addr.String()}}
		log.Logf(level, "%v"+format+"%v", logs.About(c.Serial, args, context)...)
	}
}

// OfferOf is what the client of a handshake offers.
func OfferOf(hello *tls.ClientHelloInfo) *ssl.Offer { return side.SubjectOf[*Conn](hello).Offer }

// DuringHandshake calls f with a request that has only its connection and server, for the variables in a certificate's
// name: GetCertificate of Server.TLS can do so. Of the handshake, only the server name is known by then.
func DuringHandshake(hello *tls.ClientHelloInfo, f func(*Request)) {
	c := side.SubjectOf[*Conn](hello)
	c.Peer = &ssl.Peer{ServerName: hello.ServerName, Offer: c.Offer}
	r := c.site.take(c)
	r.wire, r.in = &r.h1, &r.h1.in
	r.StartedAt = r.Now()
	f(r)
	c.site.give(r)
	c.Peer = nil
}

// Context ends when the site is closed by force.
func (c *Conn) Context() context.Context { return c.site.context }
