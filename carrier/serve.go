package carrier

import (
	"errors"
	"net"
	"time"

	"starling/cluster"
	"starling/observe"
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
	level := observe.Notice
	switch {
	case ended.Quiet:
		level = observe.Info
	case session.PeerID() == 0:
		level = observe.Warn
		if errors.Is(err, errClosed) || c.repeated(client, err) {
			level = observe.Info // somebody looked whether the port is open, or knocks every second
		}
		c.logf(level, "zone_sync: closed the connection from %s: %v", client, err)
		return
	}
	c.logf(level, "zone_sync: the connection from peer %s (node %s) ended: %v", client, session.PeerID(), err)
}

const (
	// maxTroubles bounds the refusals remembered so as not to repeat their lines.
	maxTroubles = 1024
	// repeatAfter is when the same refusal of the same host is worth another line.
	repeatAfter = time.Minute
)

// repeated says whether a host was turned away for the same reason a short while ago.
func (c *Carrier) repeated(client string, err error) bool {
	host, _, splitErr := net.SplitHostPort(client)
	if splitErr != nil {
		host = client // a unix socket has no port
	}
	key, now := host+" "+err.Error(), time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, known := c.troubles[key]; known && now.Sub(last) < repeatAfter {
		return true
	}
	if len(c.troubles) >= maxTroubles {
		clear(c.troubles)
	}
	c.troubles[key] = now
	return false
}
