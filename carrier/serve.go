package carrier

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"unicode"

	"starling/cluster"
	"starling/logs"
)

// errStopping is why connections end when the node is told to stop at once.
var errStopping = errors.New("node is shutting down")

// Client describes the remote end of an accepted connection.
type Client struct {
	// Name identifies it in the log.
	Name string
	// Host is its address without the port; "" means that of the connection.
	Host string
	// Subject is that of its certificate, if verified: ssl.Identity.
	Subject string
	// sibling is another process of this node.
	sibling bool
}

// unixHost is the address of all peers on unix sockets.
const unixHost = "unix:"

// Serve runs an accepted connection until it ends. The caller has done the TLS handshake, allow and deny. Bytes that
// are not the protocol end this connection only.
func (c *Carrier) Serve(nc net.Conn, client Client) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		nc.Close()
		return
	}
	c.tasks.Add(1)
	c.mu.Unlock()
	defer c.tasks.Done()

	if client.Host == "" {
		client.Host = hostOf(nc.RemoteAddr())
	}
	about := cluster.Connection{
		Address: client.Name, Host: client.Host, Subject: client.Subject, Sibling: client.sibling,
	}
	session, err := c.carry(nc, about, nil)
	if session == nil {
		return
	}
	ended := session.Ended()
	if c.ctx.Err() != nil {
		err = errStopping
	}
	level, how := logs.Notice, " ended"
	switch {
	case ended.Quiet:
		level = logs.Info
	case session.PeerID() == 0:
		const line = "zone_sync: closed the connection from %s: %v"
		if errors.Is(err, errClosed) {
			c.logf(logs.Info, line, client.Name, err) // a port check
			return
		}
		c.sparing.Logf(logs.Warn, client.Host+" "+err.Error(), line, client.Name, err)
		return
	case ended.Broken:
		level, how = logs.Error, " broken" // reasons of recently ended connections do not use up its lines
	}
	c.peerLines.LogReasonf(
		level,
		client.Host+" "+client.Subject+how,
		reasonOf(err),
		"zone_sync: connection from peer %s (node %s) ended: %v",
		client.Name,
		session.PeerID(),
		err,
	)
}

// reasonOf is an error as part of a key of peerLines: without its numbers, which differ each time.
func reasonOf(err error) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, err.Error())
}

// hostOf is an address without the port.
func hostOf(address net.Addr) string {
	if address == nil {
		return unixHost
	}
	if host, err := netip.ParseAddrPort(address.String()); err == nil {
		return host.Addr().Unmap().WithZone("").String()
	}
	return unixHost
}

// lines is the log of the current configuration.
type lines struct{ *Carrier }

// Enabled implements logs.Logger.
func (l lines) Enabled(level logs.Level) bool { return l.config.Load().Log.Enabled(level) }

// Logf implements logs.Logger.
func (l lines) Logf(level logs.Level, format string, args ...any) { l.logf(level, format, args...) }
