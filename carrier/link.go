package carrier

import (
	"context"
	"maps"
	"net"
	"slices"
	"time"
)

// Link is the other process while this one is being replaced, or replaces it: a member without an address. Both are
// this node to the rest of the cluster, so each is reached over the link only, not at the node's own address, where
// either of the two may answer.
type Link struct {
	// Name identifies the other process in logs: "process 123".
	Name string
	// Dial connects to it.
	Dial func() (net.Conn, error)
	// Subject is that of the certificate that both have, "" without one.
	Subject string
	// Selves are the addresses of the list that are known to lead to this node. The others need a dial to be found out.
	Selves []string
}

// leadsTo reports whether the node is reached at an address. A nil link has none.
func (l *Link) leadsTo(address string) bool { return l != nil && slices.Contains(l.Selves, address) }

// SetLink adds the other process to the members, or removes it (nil).
func (c *Carrier) SetLink(l *Link) {
	c.mu.Lock()
	c.link = l
	c.mu.Unlock()
	c.updateWatches()
	if l != nil {
		return
	}
	if c.strict.retired.Swap(false) { // the other process has ended, and this one goes on
		c.strict.changed.Store(true)
		c.strict.poke()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.dialers { // they waited; their addresses may lead elsewhere by now
		select {
		case d.nudge <- struct{}{}:
		default:
		}
	}
}

// avoidsLinked reports whether an address must not be dialled now: this node is reached there, and it may be the other
// process that answers.
func (d *dialer) avoidsLinked() bool {
	d.carrier.mu.Lock()
	linked := d.carrier.link != nil
	d.carrier.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	return linked && d.state == isSelf
}

// Selves are the addresses of the list that have led to this node itself.
func (c *Carrier) Selves() (addresses []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range sortedDialers(c.dialers) {
		d.mu.Lock()
		if d.state == isSelf {
			addresses = append(addresses, d.target.key())
		}
		d.mu.Unlock()
	}
	return addresses
}

// ServeLink serves a connection that the other process has dialled.
func (c *Carrier) ServeLink(nc net.Conn, l *Link) {
	c.Serve(nc, Client{Name: l.Name, Host: l.Name, Subject: l.Subject, sibling: true})
}

// Linked reports whether the other process is connected in both directions, and trouble why the last attempt to connect
// failed, "" if it did not.
func (c *Carrier) Linked() (both bool, trouble string) {
	link := c.linkDialer()
	if link == nil {
		return false, ""
	}
	link.mu.Lock()
	s := link.session
	trouble = link.trouble
	link.mu.Unlock()
	if s == nil || !s.Established() {
		return false, trouble
	}
	return c.node.Pushes(s.PeerID()), trouble
}

// Redirect closes the connections that members have dialled, so that they dial again, and reach the other process.
func (c *Carrier) Redirect() {
	c.strict.retired.Store(true) // its seat and its file are the other process's from now on
	c.strict.changed.Store(true)
	c.strict.poke()
	c.mu.Lock()
	link, open := c.link, slices.Collect(maps.Keys(c.conns))
	c.mu.Unlock()
	for _, cn := range open {
		if !cn.session.Outgoing && (link == nil || cn.session.Address != link.Name) {
			cn.session.Redirect()
		}
	}
}

// linkDialer is the dialer of the other process, nil without one.
func (c *Carrier) linkDialer() *dialer {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.dialers {
		if d.target.member.link != nil {
			return d
		}
	}
	return nil
}

// ReadLink waits until this process has read all that the other process sent before it ended, or ctx ends.
func (c *Carrier) ReadLink(ctx context.Context) error {
	return pollUntil(ctx, func() bool { return !c.readsLink() })
}

// pollUntil waits until something is done, or ctx ends.
func pollUntil(ctx context.Context, done func() bool) error {
	poll := time.NewTicker(quitPoll)
	defer poll.Stop()
	for !done() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// readsLink reports whether a connection of the other process has not been read to its end.
func (c *Carrier) readsLink() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for cn := range c.conns {
		if cn.sibling {
			return true
		}
	}
	return false
}

// DrainLink sends pending changes and waits until the other process has acknowledged them, or ctx ends.
func (c *Carrier) DrainLink(ctx context.Context) error {
	return pollUntil(ctx, func() bool {
		c.flush.now()
		link := c.linkDialer()
		if link == nil {
			return true // it does not share these zones
		}
		link.mu.Lock()
		s := link.session
		link.mu.Unlock()
		return s != nil && c.node.DrainedTo(s)
	})
}
