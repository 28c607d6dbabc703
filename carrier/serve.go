package carrier

import (
	"errors"
	"net"

	"starling/cluster"
	"starling/observe"
)

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
	level := observe.Notice
	switch {
	case ended.Quiet:
		level = observe.Info
	case session.PeerID() == 0:
		level = observe.Warn
		if errors.Is(err, errClosed) {
			level = observe.Info // somebody looked whether the port is open, or thought better of dialling twice
		}
		c.logf(level, "zone_sync: closed the connection from %s: %v", client, err)
		return
	}
	c.logf(level, "zone_sync: the connection from peer %s (node %s) ended: %v", client, session.PeerID(), err)
}
