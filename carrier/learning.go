package carrier

import "maps"

// Learning says that a node which has just started may soon know more: it is being taught, is compared with a node that
// began from a state file as it did, or has not yet heard from every member whether it is there. Nodes that are silent
// make it true until the connect timeout.
func (c *Carrier) Learning() bool {
	if c.node.Learning() {
		return true
	}
	if c.node.Ready() {
		return false
	}
	c.mu.Lock()
	watches, links := maps.Clone(c.watches), maps.Clone(c.links)
	c.mu.Unlock()
	for _, w := range watches {
		if !w.asked() {
			return true
		}
	}
	for _, l := range links {
		if !l.heard() {
			return true
		}
	}
	return false
}

// Unheard names members that have not yet answered, nor failed to; "" where all have.
func (c *Carrier) Unheard() string {
	c.mu.Lock()
	links := sortedLinks(c.links)
	c.mu.Unlock()
	var addresses []string
	for _, l := range links {
		if !l.heard() {
			addresses = append(addresses, l.target.key())
		}
	}
	return inShort(addresses)
}

// asked says whether the name has been looked up once, with whatever result.
func (w *watch) asked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known || w.trouble != ""
}

// heard says whether the address answered: with a hello, or that nobody is there.
func (l *link) heard() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tried || l.session != nil && l.session.Established()
}
