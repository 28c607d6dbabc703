package carrier

import "maps"

// Learning reports that a node which has just started may soon know more: it is being taught, is compared with a node
// that also started from a state file, or has not yet heard from every member whether it is up. Silent nodes make it
// true until the connect timeout.
func (c *Carrier) Learning() bool {
	ready := c.node.Ready() // first: what a node that is ready lacks is only known afterwards
	if c.node.Learning() {
		return true
	}
	if ready {
		return false
	}
	c.mu.Lock()
	watches, dialers := maps.Clone(c.watches), maps.Clone(c.dialers)
	c.mu.Unlock()
	for _, w := range watches {
		if !w.asked() {
			return true
		}
	}
	for _, d := range dialers {
		if !d.heard() {
			return true
		}
	}
	return false
}

// Unheard names members that have neither answered nor failed to; "" if there are none.
func (c *Carrier) Unheard() string {
	c.mu.Lock()
	dialers := sortedDialers(c.dialers)
	c.mu.Unlock()
	var addresses []string
	for _, d := range dialers {
		if !d.heard() {
			addresses = append(addresses, d.target.key())
		}
	}
	return inShort(addresses)
}

// asked reports whether the name has been looked up once, with any result.
func (w *watch) asked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known || w.trouble != ""
}

// heard reports whether one attempt has ended, with any result, or a session is established.
func (d *dialer) heard() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tried || d.session != nil && d.session.Established()
}
