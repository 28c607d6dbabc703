package sim

import (
	"net/netip"
	"slices"
	"time"

	"starling/cluster/wire"
	"starling/upstream/sticky"
	"starling/zone"
)

// asking follows what clients ask for, and checks the laws of questions:
//
//   - If a host holds a session, and network and host let its answer come within askMS, whoever asks for it finds
//     it: no request with it goes to another server. Nothing that another peer says changes that.
//   - An id that nobody knew is not asked for again within a second, and is asked for after it.
//   - A host has at most maxQuestions open, of all clients; a client has at most sticky.MaxAsksPerClient.
//   - A peer that says nothing costs one wait in firstPauseMS at most.
type asking struct {
	world   *World
	waiting []*find
	liar    *liar // nil if all hosts tell the truth
	// recent are sessions that clients have.
	recent []string
	// unknown are the ids that a host remembers as unknown, by their place in its table.
	unknown map[place]absence
	// promised counts finds for which the first law made a promise, found those that were found, late those whose time
	// ran out.
	promised, found, late int
}

// These are the bounds of cluster/question.go, as the documentation has them.
const (
	maxQuestions = 256
	unknownMS    = 1000
	unknownSlots = 4096
	firstPauseMS = 100
	// forgivenAfter is how many timely answers in a row let earlier questions in vain be forgotten.
	forgivenAfter = 32
	maxPause      = 10 * time.Second
)

// place is where a host remembers that an id is unknown: another id that has the same place displaces it.
type place struct {
	host *Host
	life uint64
	slot uint64
}

type absence struct {
	id      string
	untilMS int64
}

// find is a request that waits for the answers of peers.
type find struct {
	host       *Host
	life       uint64
	id, server string // server is "" of ids that nobody knows
	client     netip.Addr
	sinceMS    int64
	question   zone.Waiting
	isFirst    bool // no other request waits for the same answers
	// dialers are the connections over which peers can be asked; prompt those of them that let an answer come in time;
	// must those of these whose host holds the session.
	dialers, prompt, must []*link
}

func newAsking(w *World) *asking { return &asking{world: w, unknown: map[place]absence{}} }

func (a *asking) isLiar(h *Host) bool { return a != nil && a.liar != nil && a.liar.host == h }

// recentSessions are those that clients name. Repair brings older ones to all hosts.
const recentSessions = 12

// exists notes that clients have a session.
func (a *asking) exists(id string) {
	a.recent = append(a.recent, id)
	a.recent = a.recent[max(len(a.recent)-recentSessions, 0):]
}

func clientOf(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) }

// begin is a request with an id at a host. It reports whether the peers are asked.
func (a *asking) begin(h *Host, id, server string, client int) bool {
	if _, found := h.session.Lookup([]byte(id), h.clusterNow()); found || !h.clients.Begin(clientOf(client)) {
		return false
	}
	w := a.world
	f := &find{
		host: h, life: h.life, id: id, server: server, client: clientOf(client), sinceMS: w.nowMS,
		dialers: w.dialers(h), isFirst: true,
	}
	for _, l := range f.dialers {
		if !w.isPrompt(l) || l.ends[0].queued+l.ends[1].queued > 0 {
			continue
		}
		f.prompt = append(f.prompt, l)
		if w.nowMS >= l.excusedMS && !a.isLiar(w.Hosts[l.from]) && w.Hosts[l.from].has(id) {
			f.must = append(f.must, l)
		}
	}
	open, ofClient := a.open(f)
	isUnknown := a.isUnknown(h, id)
	f.question = h.session.Ask([]byte(id), h.clusterNow())
	switch {
	case f.question == nil:
		h.clients.Done(f.client)
		if len(f.must) > 0 && !isUnknown && open < maxQuestions && f.isFirst {
			w.failf("host %d does not ask for session %s, which host %d holds", h.index, id, f.must[0].from)
		}
		return false
	case isUnknown && f.isFirst:
		w.failf("host %d asks for %s again within a second", h.index, id)
	case open >= maxQuestions && f.isFirst:
		w.failf("host %d has more than %d questions open", h.index, maxQuestions)
	case ofClient >= sticky.MaxAsksPerClient:
		w.failf("%d requests of one client wait at host %d", ofClient+1, h.index)
	}
	if !f.isFirst {
		f.must = nil // the answers may come too early for it
	} else if len(f.must) > 0 {
		a.promised++
	}
	w.did("host%d asks for %s, %d hosts must answer", h.index, id, len(f.must))
	a.waiting = append(a.waiting, f)
	return true
}

// open counts the questions of a host that are open, and the requests of one client that wait there. It notes whether
// another request waits for the same answers.
func (a *asking) open(f *find) (open, ofClient int) {
	for _, other := range a.waiting {
		if other.host != f.host || other.life != f.life {
			continue
		}
		if other.isFirst {
			open++
		}
		if other.client == f.client {
			ofClient++
		}
		if other.id == f.id {
			f.isFirst = false
		}
	}
	return open, ofClient
}

// has reports whether readers at a host find a session.
func (h *Host) has(id string) bool {
	_, found := h.session.Lookup([]byte(id), h.clusterNow())
	return found
}

// dialers are the connections of peers that a host can ask.
func (w *World) dialers(h *Host) (list []*link) {
	for _, l := range w.links {
		e := l.ends[1]
		if l.to == h.index && !e.closed && e.life == h.life && e.session.Established() &&
			(h.withhold|w.Hosts[l.from].withhold)&wire.FeatureQuestions == 0 {
			list = append(list, l)
		}
	}
	return list
}

// isPrompt reports whether what either end of a connection sends arrives at once.
func (w *World) isPrompt(l *link) bool {
	for _, e := range l.ends {
		if e.closed || e.eof || e.life != e.host.life || !e.host.runs() || !e.session.Established() {
			return false
		}
	}
	_, isSlow := w.slow[pair(l.from, l.to)]
	return w.latencyMS == 0 && !isSlow && !w.blocked[pair(l.from, l.to)]
}

// look follows the requests that wait; it is called in each step.
func (a *asking) look() {
	if a == nil {
		return
	}
	w := a.world
	if a.liar != nil {
		a.liar.deliver()
	}
	for _, l := range w.links {
		if w.Hosts[l.from].runs() && !w.blocked[pair(l.from, l.to)] && !a.isLiar(w.Hosts[l.from]) {
			l.spokeMS = w.nowMS
		}
	}
	still := a.waiting[:0]
	for _, f := range a.waiting {
		if !a.follow(f) {
			still = append(still, f)
		}
	}
	clear(a.waiting[len(still):])
	a.waiting = still
}

// follow reports whether a request no longer waits.
func (a *asking) follow(f *find) (over bool) {
	w, h := a.world, f.host
	if h.down || h.life != f.life {
		return true // nobody answers the client
	}
	f.prompt = slices.DeleteFunc(f.prompt, func(l *link) bool { return !w.isPrompt(l) })
	f.must = slices.DeleteFunc(f.must, func(l *link) bool { return !w.isPrompt(l) || !w.Hosts[l.from].has(f.id) })
	if !h.runs() {
		return false
	}
	late := !isDone(f.question)
	if late && w.nowMS-f.sinceMS < askMS {
		return false
	}
	f.question.End(late, h.now())
	h.clients.Done(f.client)
	if late {
		a.late++
		a.blame(f)
	}
	server, found := h.session.Lookup([]byte(f.id), h.clusterNow())
	switch {
	case found && f.server != "" && server != f.server:
		w.failf("host %d finds %q for session %s, want %q", h.index, server, f.id, f.server)
	case found:
		a.found++
	case len(f.must) > 0:
		w.failf("host %d sends a client with session %s to another server after %d ms; host %d holds the session and "+
			"could say so", h.index, f.id, w.nowMS-f.sinceMS, f.must[0].from)
	}
	if late || !found {
		a.remember(f)
	}
	if late || found {
		return true
	}
	for _, l := range f.prompt { // all have answered
		if f.sinceMS < l.excusedMS {
			continue
		}
		if l.timely++; l.timely >= forgivenAfter {
			l.vainAsks = 0
		}
	}
	return true
}

func placeOf(h *Host, id string) place {
	return place{h, h.life, zone.KeyHash([]byte(id)) % unknownSlots}
}

// isUnknown reports whether a host must remember that nobody knows an id.
func (a *asking) isUnknown(h *Host, id string) bool {
	u := a.unknown[placeOf(h, id)]
	return u.id == id && a.world.nowMS < u.untilMS
}

// remember notes that a host knows now that nobody knows an id.
func (a *asking) remember(f *find) {
	if !a.isUnknown(f.host, f.id) {
		a.unknown[placeOf(f.host, f.id)] = absence{f.id, a.world.nowMS + unknownMS}
	}
}

// blame notes for which connections a request waited in vain. Those from which nothing has come since the last wait in
// vain must not have been asked again at once.
func (a *asking) blame(f *find) {
	w := a.world
	var blamed []*link
	for _, l := range f.dialers {
		if !slices.Contains(f.prompt, l) || a.isLiar(w.Hosts[l.from]) {
			blamed = append(blamed, l)
		}
	}
	wasSilent := func(l *link) bool {
		return l.vainAskMS != 0 && l.spokeMS < l.vainAskMS && l.vainAskMS <= f.sinceMS &&
			f.sinceMS-l.vainAskMS < firstPauseMS
	}
	if f.isFirst && len(blamed) > 0 && allOf(blamed, wasSilent) {
		w.failf("host %d waits for peers that cost it a wait a moment ago and have said nothing since", f.host.index)
	}
	for _, l := range blamed {
		if f.sinceMS < l.blamedMS {
			continue // asked before the last wait in vain ended
		}
		if f.sinceMS >= l.excusedMS && l.ends[1].queued == 0 { // it was asked, and nothing is on its way
			l.vainAskMS = w.nowMS
		}
		pause := min(firstPauseMS*time.Millisecond<<min(l.vainAsks, 16), maxPause)
		l.vainAsks, l.timely = l.vainAsks+1, 0
		l.blamedMS, l.excusedMS = w.nowMS, w.nowMS+pause.Milliseconds()
	}
}

func allOf(links []*link, is func(*link) bool) bool {
	return !slices.ContainsFunc(links, func(l *link) bool { return !is(l) })
}
