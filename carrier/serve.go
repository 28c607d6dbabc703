package carrier

import (
	"errors"
	"net"

	"starling/cluster"
	"starling/logs"
)

// errStopping is why connections end when the node is told to stop at once.
var errStopping = errors.New("the node is stopping")

// Serve runs an accepted connection until it ends. The caller has done the TLS handshake, allow and deny;
// client is how the other side is called in the log. Bytes that are not the protocol end this connection only.
func (c *Carrier) Serve(nc net.Conn, client string) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		nc.Close()
		return
	}
	c.tasks.Add(1)
	c.mu.Unlock()
	defer c.tasks.Done()

	session, err := c.carry(nc, cluster.Link{Address: client}, nil)
	if session == nil {
		return
	}
	ended := session.Ended()
	if c.ctx.Err() != nil {
		err = errStopping
	}
	level := logs.Notice
	switch {
	case ended.Quiet:
		level = logs.Info
	case session.PeerID() == 0:
		const line = "zone_sync: closed the connection from %s: %v"
		if errors.Is(err, errClosed) {
			c.logf(logs.Info, line, client, err) // somebody looked whether the port is open
			return
		}
		host, _, splitErr := net.SplitHostPort(client)
		if splitErr != nil {
			host = client // a unix socket has no port
		}
		c.sparing.Logf(logs.Warn, host+" "+err.Error(), line, client, err)
		return
	}
	c.logf(level, "zone_sync: the connection from peer %s (node %s) ended: %v", client, session.PeerID(), err)
}

// lines is the log of the configuration of the moment.
type lines struct{ *Carrier }

// Enabled implements logs.Logger.
func (l lines) Enabled(level logs.Level) bool { return l.config.Load().Log.Enabled(level) }

// Logf implements logs.Logger.
func (l lines) Logf(level logs.Level, format string, args ...any) { l.logf(level, format, args...) }
