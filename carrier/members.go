package carrier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"starling/lib/plural"
	"starling/logs"
)

// maxAddresses bounds what one name may resolve to: each address costs a connection.
const maxAddresses = 256

// resolved is a static member with its addresses.
type resolved struct {
	member  Member
	targets []target
}

// resolveStatic looks up the members that are resolved once. A member named twice counts once.
func resolveStatic(ctx context.Context, config *Config) ([]resolved, error) {
	var list []resolved
	named := make(map[string]string)
	for _, m := range config.Members {
		if first, twice := named[m.String()]; twice {
			config.Log.Logf(logs.Warn, "zone_sync: server %s is listed twice, in %s and in %s; ignoring the second", m,
				first, m.Line)
			continue
		}
		named[m.String()] = m.Line
		r := resolved{member: m}
		if !m.Resolve {
			var err error
			if r.targets, _, err = lookup(ctx, config, m); err != nil {
				return nil, fmt.Errorf("host not found in zone_sync_server %q: %w", m, err)
			}
		}
		list = append(list, r)
	}
	return list, nil
}

// Lists reports whether is returns true for one of the addresses of static members, those with "resolve" excepted. The
// address is not valid for a unix socket.
func (p *Prepared) Lists(is func(m Member, address netip.AddrPort) bool) bool {
	return slices.ContainsFunc(p.members, func(r resolved) bool {
		return slices.ContainsFunc(r.targets, func(t target) bool { return is(r.member, t.address) })
	})
}

// lookup finds the addresses of a member, and how long they are valid.
func lookup(ctx context.Context, config *Config, m Member) ([]target, time.Duration, error) {
	if m.Unix != "" {
		return []target{{member: m}}, 0, nil
	}
	var addrs []netip.Addr
	valid := time.Duration(0)
	if addr, err := netip.ParseAddr(m.Host); err == nil {
		addrs = []netip.Addr{addr}
	} else if resolver := config.resolverOf(m); resolver != nil {
		if addrs, valid, err = resolver.LookupAddrs(ctx, m.Host); err != nil {
			return nil, 0, err
		}
	} else if addrs, err = net.DefaultResolver.LookupNetIP(ctx, "ip", m.Host); err != nil {
		return nil, 0, err
	}
	if len(addrs) == 0 {
		return nil, 0, errors.New("name has no addresses")
	}
	if len(addrs) > maxAddresses {
		return nil, 0, fmt.Errorf("name has %d addresses; at most %d are allowed", len(addrs), maxAddresses)
	}
	targets := make([]target, 0, len(addrs))
	for _, addr := range addrs {
		t := target{member: m, address: netip.AddrPortFrom(addr.Unmap(), uint16(m.Port))}
		if !slices.Contains(targets, t) { // a hosts file or a name server can have one address twice
			targets = append(targets, t)
		}
	}
	return targets, valid, nil
}

func (config *Config) resolverOf(m Member) Resolver {
	if m.Resolve {
		return config.Resolver
	}
	return config.StaticResolver
}

// watch follows a name whose addresses may change.
type watch struct {
	carrier *Carrier
	member  Member
	ctx     context.Context
	cancel  context.CancelFunc
	nudge   chan struct{}

	mu      sync.Mutex
	targets []target
	known   bool
	trouble string
	urgent  int // lookups that do not wait until the last answer expires
}

const (
	// minValid keeps an answer with zero validity from being looked up again at once.
	minValid = time.Second
	// systemValid applies if the resolver gives no validity.
	systemValid = 30 * time.Second
	// lookupTimeout bounds one lookup.
	lookupTimeout = 30 * time.Second
	// urgentLookups are made after an unknown node has connected, urgentPause apart: together they last longer than a
	// name server of Kubernetes caches an answer (5 s).
	urgentLookups = 12
	urgentPause   = 500 * time.Millisecond
)

// hurry looks the name up now, and again until it has other addresses: a node that is not among them has connected.
func (w *watch) hurry() {
	w.mu.Lock()
	w.urgent = urgentLookups
	w.mu.Unlock()
	select {
	case w.nudge <- struct{}{}:
	default: // it is about to
	}
}

// again reports whether the last answer must not be used, and counts down.
func (w *watch) again() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.urgent == 0 {
		return false
	}
	w.urgent--
	return true
}

// run looks the name up again and again. Any node that connects can hurry it, but no lookup follows another within
// urgentPause.
func (w *watch) run() {
	for w.ctx.Err() == nil {
		next := w.look()
		w.pause(min(next, urgentPause), nil)
		w.pause(next-urgentPause, w.nudge)
	}
}

// pause waits until a time has passed, early says so, or the name is left.
func (w *watch) pause(d time.Duration, early <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-w.ctx.Done():
	}
}

// look looks the name up once. A failure keeps the known addresses.
func (w *watch) look() (next time.Duration) {
	config := w.carrier.config.Load()
	ctx, cancel := context.WithTimeout(w.ctx, lookupTimeout)
	defer cancel()
	if w.again() && config.Resolver != nil {
		config.Resolver.Forget(w.member.Host)
	}
	targets, valid, err := lookup(ctx, config, w.member)
	if w.ctx.Err() != nil {
		return 0
	}
	w.mu.Lock()
	before := w.trouble
	if err != nil {
		w.trouble = err.Error()
	} else {
		if !sameTargets(w.targets, targets) {
			w.urgent = 0
		}
		w.trouble, w.targets, w.known = "", targets, true
	}
	kept, urgent := len(w.targets), w.urgent > 0
	w.mu.Unlock()
	if err != nil {
		if before != err.Error() {
			config.Log.Logf(logs.Error,
				"zone_sync: cannot resolve %s in %s: %v; keeping %s, retrying every %v", w.member.Host, w.member.Line,
				err, plural.Of(kept, "known address", "known addresses"), config.RetryInterval)
		}
		return max(config.RetryInterval, minValid)
	}
	w.carrier.updateDialers()
	switch {
	case urgent:
		return urgentPause
	case valid <= 0:
		return systemValid
	}
	return max(valid, minValid)
}

// sameTargets compares addresses in any order.
func sameTargets(a, b []target) bool {
	had := make(map[target]bool, len(a))
	for _, t := range a {
		had[t] = true
	}
	for _, t := range b {
		if !had[t] {
			return false
		}
	}
	return len(a) == len(b)
}

// setMembers applies a new list.
func (c *Carrier) setMembers(list []resolved) {
	c.mu.Lock()
	c.members = list
	c.mu.Unlock()
	c.updateWatches()
}

// updateWatches watches new names and leaves removed ones.
func (c *Carrier) updateWatches() {
	c.mu.Lock()
	list := c.members
	if c.link != nil {
		m := Member{link: c.link}
		list = append(slices.Clone(list), resolved{member: m, targets: []target{{member: m}}})
	}
	before := c.watches
	c.watches = make(map[string]*watch)
	for _, r := range list {
		key := r.member.String()
		w := before[key]
		if w == nil || w.member.Resolve != r.member.Resolve {
			ctx, cancel := context.WithCancel(c.ctx)
			w = &watch{carrier: c, member: r.member, ctx: ctx, cancel: cancel, nudge: make(chan struct{}, 1)}
			if r.member.Resolve && c.started {
				c.tasks.Go(w.run)
			}
		} else {
			delete(before, key)
		}
		if !r.member.Resolve {
			w.mu.Lock()
			w.targets, w.known = r.targets, true
			w.mu.Unlock()
		}
		c.watches[key] = w
	}
	c.mu.Unlock()
	for _, w := range before {
		w.cancel()
	}
	c.updateDialers()
}

// updateDialers makes one dialer for each known address.
func (c *Carrier) updateDialers() {
	c.mu.Lock()
	wanted := make(map[string]target)
	for _, w := range c.watches {
		w.mu.Lock()
		for _, t := range w.targets {
			wanted[t.key()] = t
		}
		w.mu.Unlock()
	}
	var left []*dialer
	for key, d := range c.dialers {
		if _, keep := wanted[key]; !keep {
			delete(c.dialers, key)
			left = append(left, d)
		}
	}
	var found []target
	for key, t := range wanted {
		if c.dialers[key] == nil && !c.closed {
			d := c.newDialer(t)
			c.dialers[key] = d
			if c.started {
				found = append(found, t)
				c.run(d)
			}
		}
	}
	c.mu.Unlock()
	for _, d := range left {
		if d.target.member.link == nil {
			c.logf(logs.Notice, "zone_sync: %s (%s) is no longer a member", d.target.key(), d.target.member)
		}
		d.leave()
		c.node.Unlist(d.target.key())
	}
	for _, t := range found {
		c.discovered(t)
	}
	c.expect()
}

func (c *Carrier) discovered(t target) {
	if t.member.link != nil {
		return
	}
	c.logf(logs.Notice, "zone_sync: discovered %s (%s in %s)", t.key(), t.member, t.member.Line)
}

// expect tells the core how many other nodes there should be.
func (c *Carrier) expect() {
	c.mu.Lock()
	others := 0
	for _, w := range c.watches {
		w.mu.Lock()
		if !w.known {
			others = -1
		}
		w.mu.Unlock()
		if others < 0 {
			break
		}
	}
	if others == 0 {
		for _, d := range c.dialers {
			if d.other() {
				others++
			}
		}
	}
	c.mu.Unlock()
	c.node.Expect(others)
}

// other reports whether an address is, as far as known, another node that no other dialer reaches.
func (d *dialer) other() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state == connecting
}
