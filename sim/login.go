package sim

import (
	"fmt"

	"starling/cluster/wire"
	"starling/zone"
)

// A login is a new session whose client gets the answer when the peers have it. The law: when its delivery is done in
// time, each host that was connected and not left out all the while has the session.

// loginMS is how long an answer waits at most: the default of `sticky learn … sync`.
const loginMS = 5

// login is one that waits.
type login struct {
	host    *Host
	life    uint64
	key     string
	sinceMS int64
	// links are those to the hosts that it waits for.
	links    []*link
	delivery zone.Delivery
}

// login binds a new session at a host.
func (w *World) login(h *Host, key, server string) (*login, error) {
	l := &login{host: h, life: h.life, key: key, sinceMS: w.nowMS}
	left := h.leftOut()
	for _, other := range w.Hosts {
		to := w.dialled[[2]int{h.index, other.index}]
		if to != nil && to.standing() && to.ends[0].session.Established() && !left[other.id().String()] &&
			(h.withhold|other.withhold)&wire.FeatureDelivery == 0 {
			l.links = append(l.links, to)
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
	if h.down || h.life != l.life {
		return true // nobody answers the client
	}
	if !h.runs() {
		return false
	}
	switch {
	case l.delivery == nil:
	case isDone(l.delivery):
		l.delivery.End(false, h.now())
	case w.nowMS-l.sinceMS < loginMS:
		return false
	default:
		l.delivery.End(true, h.now())
		return true
	}
	left := h.leftOut()
	for _, to := range l.links {
		other := w.Hosts[to.to]
		if !to.standing() || other.life != to.ends[1].life || left[other.id().String()] {
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
