package sim

import (
	"fmt"
	"slices"

	"starling/cluster/wire"
	"starling/zone"
)

// A login is a new session whose client gets the answer when the peers have it. The laws: when its delivery is done in
// time, each host that was connected and not left out all the while has the session. A host that does nothing, or
// acknowledges nothing, costs one wait, however many clients log in.

// loginMS is how long an answer waits at most: the default of `sticky learn … sync`.
const loginMS = 5

// login is one that waits.
type login struct {
	host    *Host
	life    uint64
	key     string
	sinceMS int64
	// links are those to the hosts that it waits for, out those to hosts that are left out. Over prompt ones of both,
	// all has arrived at once.
	links, out, prompt []*link
	delivery           zone.Delivery
	// head is that of the journal before, flushedMS when the session was in a frame.
	head      uint64
	flushedMS int64
}

// login binds a new session at a host.
func (w *World) login(h *Host, key, server string) (*login, error) {
	l := &login{host: h, life: h.life, key: key, sinceMS: w.nowMS, head: h.session.Journal().Head()}
	left := h.leftOut()
	for _, other := range w.Hosts {
		to := w.dialled[[2]int{h.index, other.index}]
		switch {
		case to == nil || !to.standing() || !to.ends[0].session.Established(),
			(h.withhold|other.withhold)&wire.FeatureDelivery != 0:
		case left[other.id().String()]:
			l.out = append(l.out, to)
		default:
			l.links = append(l.links, to)
		}
	}
	for _, to := range slices.Concat(l.links, l.out) {
		if to.ends[0].queued+to.ends[1].queued == 0 && w.isPrompt(to) {
			l.prompt = append(l.prompt, to)
		}
	}
	if err := h.session.Bind([]byte(key), []byte(server), h.clusterNow()); err != nil {
		return nil, err
	}
	w.did("host%d binds %s and waits for the others", h.index, key)
	l.delivery = h.session.Deliver(zone.Need{LimitMS: loginMS})
	return l, nil
}

// leftOut are the peers, by id, for which a host's answers do not wait.
func (h *Host) leftOut() map[string]bool {
	out := map[string]bool{}
	for _, p := range h.node.Status(h.now()).Peers {
		if p.LeftOut {
			out[p.NodeID] = true
		}
	}
	return out
}

// look reports whether the client has its answer, and fails if that comes too early.
func (l *login) look() (answered bool) {
	w, h := l.host.world, l.host
	l.prompt = slices.DeleteFunc(l.prompt, func(to *link) bool { return !w.isPrompt(to) })
	if h.down || h.life != l.life {
		return true // nobody answers the client
	}
	if !h.runs() {
		return false
	}
	if l.flushedMS == 0 && h.session.Journal().Head() > l.head {
		l.flushedMS = w.nowMS
	}
	switch {
	case l.delivery == nil:
	case isDone(l.delivery):
		l.delivery.End(false, h.now())
	case w.nowMS-l.sinceMS < loginMS:
		return false
	default:
		l.delivery.End(true, h.now())
		w.waitedInVain(l)
		return true
	}
	left := h.leftOut()
	for _, to := range l.links {
		other := w.Hosts[to.to]
		if !to.standing() || other.life != to.ends[1].life || left[other.id().String()] || w.asking.isLiar(other) {
			continue
		}
		if _, found := other.session.Lookup([]byte(l.key), other.clusterNow()); !found {
			w.failf("host %d does not know session %s, of which a client of host %d was told", other.index, l.key,
				h.index)
		}
	}
	return true
}

func isDone(d zone.Waiting) bool {
	select {
	case <-d.Done():
		return true
	default:
		return false
	}
}

// loginNow is a login that a story waits for; it returns how long that took.
func (w *World) loginNow(h *Host, key, server string) (tookMS int64, err error) {
	l, err := w.login(h, key, server)
	if err != nil {
		return 0, err
	}
	for !l.look() {
		w.step()
	}
	return w.nowMS - l.sinceMS, nil
}

// logins are those of a swarm that wait.
type logins struct {
	count   int
	waiting []*login
	// vain are the connections whose vainMS is set.
	vain []*link
}

// blamedMS is how long a session must have been in a frame before a host that has not acknowledged it is left out: half
// of the wait, and a millisecond for the step in which it was flushed.
const blamedMS = loginMS/2 + 1

// waitedInVain notes for which hosts an answer waited until its time ran out. It fails if all of them have cost a wait
// before and have done nothing since.
func (w *World) waitedInVain(l *login) {
	if l.flushedMS == 0 || w.nowMS-l.flushedMS < blamedMS {
		return // nobody is to blame
	}
	var lacking []*link
	isNew, left := w.hasNewLinks(l), l.host.leftOut()
	for _, to := range slices.Concat(l.links, l.out) {
		other := w.Hosts[to.to]
		lacks := !other.has(l.key)
		if w.asking.isLiar(other) {
			lacks = w.asking.liar.hidesSince(l.sinceMS)
		}
		switch {
		case !to.standing() || other.life != to.ends[1].life:
		case lacks:
			lacking = append(lacking, to)
			isNew = isNew || to.vainMS == 0 || to.vainMS > l.sinceMS
		case w.asking.isLiar(other) || !slices.Contains(l.prompt, to):
			isNew = true // its acknowledgement may be on its way
		case left[other.id().String()] && slices.Contains(l.links, to):
			isNew = true // it lost frames, and has the session by repair, which it does not acknowledge
		}
	}
	if len(lacking) > 0 && !isNew {
		w.failf("an answer of host %d waits for host %d, which has done nothing since it cost another one a wait "+
			"%d ms ago", l.host.index, lacking[0].to, w.nowMS-lacking[0].vainMS)
	}
	for _, to := range lacking {
		if to.vainMS == 0 && to.ends[0].queued == 0 { // nothing is on its way
			to.vainMS = w.nowMS
			w.logins.vain = append(w.logins.vain, to)
		}
	}
}

// hasNewLinks reports whether a host has connections that it did not have at a login: the answer may wait for these,
// too.
func (w *World) hasNewLinks(l *login) bool {
	return slices.ContainsFunc(w.links, func(to *link) bool {
		return to.from == l.host.index && to.standing() && to.ends[0].session.Established() &&
			!slices.Contains(l.links, to) && !slices.Contains(l.out, to) &&
			(l.host.withhold|w.Hosts[to.to].withhold)&wire.FeatureDelivery == 0
	})
}

// lookVain forgets the connections whose hosts have done something.
func (w *World) lookVain() {
	w.logins.vain = slices.DeleteFunc(w.logins.vain, func(l *link) bool {
		h := w.Hosts[l.to]
		hides := w.asking.isLiar(h) && w.asking.liar.hidesSince(l.vainMS)
		if h.runs() && !w.blocked[pair(l.from, l.to)] && !hides || !l.standing() {
			l.vainMS = 0
		}
		return l.vainMS == 0
	})
}

// hasLogins reports whether every session that is sent is kept: none is evicted, deleted or rejected, and all zones
// stay shared.
func (f *flavour) hasLogins() bool { return !f.full && !f.deletes && !f.jumps && !f.changes }

// workLogin begins a login at a host.
func (s *swarm) workLogin(h *Host) {
	s.logins.count++
	l, err := s.login(h, fmt.Sprint("login", s.logins.count), fmt.Sprint("server", s.rand.IntN(9)))
	if err != nil {
		s.failf("host %d does not bind: %v", h.index, err)
		return
	}
	s.logins.waiting = append(s.logins.waiting, l)
}

// lookLogins checks those that wait; it is called in each step.
func (w *World) lookLogins() {
	w.lookVain()
	still := w.logins.waiting[:0]
	for _, l := range w.logins.waiting {
		if !l.look() {
			still = append(still, l)
		}
	}
	w.logins.waiting = still
}

// askMS is how long a request waits for the peers that are asked for its session.
const askMS = 2

// find is what a request does: it asks the peers for a session that is not here. It returns how long that took.
func (w *World) find(h *Host, key string) (server string, tookMS int64) {
	if server, found := h.session.Lookup([]byte(key), h.clusterNow()); found {
		return server, 0
	}
	since := w.nowMS
	if question := h.session.Ask([]byte(key), h.clusterNow()); question != nil {
		for !isDone(question) && w.nowMS-since < askMS {
			w.step()
		}
		question.End(!isDone(question), h.now())
	}
	server, _ = h.session.Lookup([]byte(key), h.clusterNow())
	return server, w.nowMS - since
}
