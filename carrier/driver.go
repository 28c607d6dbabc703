package carrier

import (
	"net/netip"

	"starling/cluster"
	"starling/logs"
)

// The driver's half of the core. The core calls these with its locks held.

// Wake tells the writer of a session to check its outbox.
func (c *Carrier) Wake(s *cluster.Session) {
	if cn, ok := s.Tag.(*conn); ok {
		cn.poke()
	}
}

// End tells the writer to send the remaining data and close the connection.
func (c *Carrier) End(s *cluster.Session) { c.Wake(s) }

// FlushSoon wakes the flusher.
func (c *Carrier) FlushSoon(urgent bool) { c.flush.poke(urgent) }

// Met dials the members that may be the node that has just dialled this one: it is up, and may have been down. If it is
// none of them, a name may have a new address.
func (c *Carrier) Met(s *cluster.Session, id cluster.NodeID) {
	cn, ok := s.Tag.(*conn)
	if !ok {
		return
	}
	remote, _ := netip.ParseAddrPort(cn.remote)
	c.mu.Lock()
	defer c.mu.Unlock()
	known, listed := false, false
	for _, d := range c.dialers {
		if cluster.NodeID(d.id.Load()) == id || remote.IsValid() && d.target.address.Addr() == remote.Addr().Unmap() {
			// a connected dialer does not identify the caller: another node of the same host may have dialled.
			known, listed = d.kick() || known, true
		}
	}
	if known {
		return
	}
	for _, w := range c.watches {
		if !listed && w.member.Resolve {
			w.hurry()
		}
	}
	// The address belongs to no member: several nodes share one host, or the address is translated. It may be any
	// missing member.
	for _, d := range c.dialers {
		d.kick()
	}
}

// Keep brings to disk what the peer of a session waits for.
func (c *Carrier) Keep(s *cluster.Session) {
	if cn, ok := s.Tag.(*conn); ok && cn.keeps.Add(1) == 1 {
		c.tasks.Go(cn.keep)
	}
}

// keep waits for the disk until it has done so since the last call of Keep. One goroutine per connection does, however
// often the peer asks.
func (cn *conn) keep() {
	for asked := cn.keeps.Load(); asked > 0; asked = cn.keeps.Add(-asked) {
		cn.session.Keep()
	}
}

// levels maps events of the core to lines of the error log.
var levels = map[cluster.EventKind]logs.Level{
	cluster.Info: logs.Info, cluster.Notice: logs.Notice, cluster.Warning: logs.Warn, cluster.Problem: logs.Error,
}

// Event writes a line.
func (c *Carrier) Event(e cluster.Event) {
	if e.Reason != "" {
		c.peerLines.LogReasonf(levels[e.Kind], e.Peer, e.Reason, "%s", e.Text)
		return
	}
	c.logf(levels[e.Kind], "%s", e.Text)
}
