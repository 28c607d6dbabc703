package upstream

import (
	"errors"
	"net/netip"
	"time"

	"starling/lib/clock"
)

// ErrNoLive means that no server of the group can take the request now. nginx answers 502 and logs this text.
var ErrNoLive = errors.New("no live upstreams")

// Outcome is the result of an attempt on a server.
type Outcome uint8

// The outcomes of an attempt.
const (
	Success Outcome = iota
	// Failure counts against the server (error, timeout, invalid_header, http_5xx, http_429 retried on the next).
	Failure
	// Passed was retried on the next server without counting against this one (http_403, http_404).
	Passed
)

// maxSessionID is the longest server id of a session, in bytes. A route has at most 32, an md5 32.
const maxSessionID = 64

// inlineSlots is how many servers an attempt stores without allocating; enough for nearly every group.
const inlineSlots = 256

// Attempt is the selection of servers for one request: it begins once, then picks and frees servers until one responds.
// Keep it inside the request; it must not be copied between Begin and the last Free.
type Attempt struct {
	// Key is what a hashing balancer hashes. It must stay unchanged from Begin to the last Pick.
	Key []byte
	// Client is the client's address, for ip_hash. The zero value stands for a client without one (unix).
	Client netip.Addr
	// Probe is the balancer's state for this request.
	Probe Probe

	group   *Group
	set     *Set
	current *Server
	tries   int
	nowMS   int64

	times Times // of the current server

	inflight bool // counted as one that has not come to the moment `until` since pickedMS
	until    Timing
	pickedMS int64

	tried     [inlineSlots / 64]uint64
	triedMore []uint64 // slots from inlineSlots on

	waiter *waiter // nil unless queued

	keeps bool    // see Keep
	kept  *Server // Free kept the attempt's place on it; the next Pick or GiveUp ends that

	wantedServer *Server // instead of one by its id
	wantedLen    int
	wanted       [maxSessionID]byte
}

// Probe is the state of hashing and random balancers between the tries of one request.
type Probe struct {
	Hash   uint32
	Rounds int // hashes or draws made
	Misses int // of which found an unusable server
	Ready  bool
	// Scratch is memory for bytes to hash, so that they are not allocated.
	Scratch [20]byte
}

// Begin starts a request's selection. The caller sets Key and Client, before or after, and Want after.
func (g *Group) Begin(a *Attempt) {
	a.group, a.set, a.current = g, &g.primary, nil
	a.Probe = Probe{}
	a.tried = [inlineSlots / 64]uint64{}
	clear(a.triedMore)
	a.wantedServer, a.wantedLen, a.inflight = nil, 0, false
	a.keeps, a.kept = false, nil
	a.tries = int(g.tries.Load())
}

// Want requests the server of a sticky session. Ids that no server can have are ignored.
func (a *Attempt) Want(id []byte) {
	if len(id) > maxSessionID {
		id = nil
	}
	a.wantedLen = copy(a.wanted[:], id)
}

// WantServer requests one server, like Want.
func (a *Attempt) WantServer(s *Server) { a.wantedServer = s }

// wants reports whether the request should go to one server; isWanted tells which.
func (a *Attempt) wants() bool { return a.wantedServer != nil || a.wantedLen > 0 }

func (a *Attempt) isWanted(s *Server) bool {
	if a.wantedServer != nil {
		return s == a.wantedServer
	}
	return s.sessionID == string(a.wanted[:a.wantedLen])
}

// TriesLeft returns the number of further servers that nginx would try.
func (a *Attempt) TriesLeft() int { return a.tries }

// AddTry returns one try: an idle connection that fails at once says nothing about the server.
func (a *Attempt) AddTry() { a.tries++ }

// Current is the server picked and not yet freed, or nil.
func (a *Attempt) Current() *Server { return a.current }

// Pick selects the next server: primaries first, then backups. Each pick must be freed. It returns ErrNoLive if no
// server is left, and in a group with a queue also the errors that queue.go declares. It does not allocate in groups of
// up to 256 servers, unless the request is queued.
func (a *Attempt) Pick(now clock.Reading) (*Server, error) {
	g := a.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.kept != nil {
		if s := a.takeKept(now); s != nil {
			return s, nil
		}
	}
	if g.queue != nil {
		return a.pickOrQueue(now)
	}
	if s := a.take(now); s != nil {
		return s, nil
	}
	return nil, ErrNoLive
}

// take selects the next server, or nil if none can take the request; under the lock.
func (a *Attempt) take(now clock.Reading) *Server {
	g := a.group
	a.nowMS = now.MonoMS
	s := a.choose()
	if s == nil && a.set == &g.primary && len(g.backup.servers) > 0 {
		a.set = &g.backup
		s = a.choose()
	}
	if s == nil {
		return nil
	}
	a.markTried(s.slot)
	if a.nowMS-s.checkedMS > s.settings.FailTimeout.Milliseconds() {
		s.checkedMS = a.nowMS
	}
	s.active++
	a.enter(s, now)
	return s
}

// enter makes a server the current one; under the lock.
func (a *Attempt) enter(s *Server, now clock.Reading) {
	a.current, a.times = s, NoTimes
	s.Stats.requests++
	s.Stats.selectedMS = now.WallMS
}

func (a *Attempt) choose() *Server {
	wanted := a.findWanted()
	if !a.set.single {
		return a.group.balancer.Choose(a.set, a, wanted)
	}
	if wanted != nil {
		return wanted
	}
	// A single server never becomes unavailable by failures: there is nothing better to try.
	if s := a.set.servers[0]; !s.outOfService() && !s.full() {
		return s
	}
	return nil
}

// findWanted returns the server of the current set that the session names, if it is usable. A draining one is.
func (a *Attempt) findWanted() *Server {
	if !a.wants() {
		return nil
	}
	for _, s := range a.set.servers {
		if !a.isWanted(s) {
			continue
		}
		if a.hasTried(s.slot) || s.settings.Down || s.health != Healthy || s.disabled(a.nowMS) || s.full() {
			return nil
		}
		return s
	}
	return nil
}

// Usable reports whether a balancer may select the server: not tried yet, in service, not unavailable by failures,
// below max_conns.
func (a *Attempt) Usable(s *Server) bool {
	return !a.hasTried(s.slot) && !s.outOfService() && !s.disabled(a.nowMS) && !s.full()
}

func (a *Attempt) hasTried(slot int) bool {
	if slot < inlineSlots {
		return a.tried[slot/64]&(1<<(slot%64)) != 0
	}
	i := slot - inlineSlots
	return i/64 < len(a.triedMore) && a.triedMore[i/64]&(1<<(i%64)) != 0
}

func (a *Attempt) markTried(slot int) {
	if slot < inlineSlots {
		a.tried[slot/64] |= 1 << (slot % 64)
		return
	}
	i := slot - inlineSlots
	for i/64 >= len(a.triedMore) {
		a.triedMore = append(a.triedMore, 0)
	}
	a.triedMore[i/64] |= 1 << (i % 64)
}

// Connected reports that the picked server accepted a connection, and how long that took: if it was being probed, it is
// available again before the session ends.
func (a *Attempt) Connected(now clock.Reading, took time.Duration) {
	if s := a.current; s != nil {
		a.group.mu.Lock()
		defer a.group.mu.Unlock()
		s.Stats.connect.add(took)
		s.succeededMS = now.MonoMS
		if s.accessedMS < s.checkedMS {
			s.recover(now)
			a.group.serve(now)
		}
	}
}

// Measure sets the times of the attempt on the current server. Free adds them to its averages.
func (a *Attempt) Measure(t Times) { a.times = t }

// Free ends the attempt on the current server. It returns true if this failure made the server unavailable, which is
// worth a warning: "upstream server temporarily disabled".
func (a *Attempt) Free(outcome Outcome, now clock.Reading) (disabled bool) {
	g, s := a.group, a.current
	if s == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.serve(now)
	a.endInflight(now.MonoMS)
	a.current = nil
	s.Stats.Measure(a.times)
	switch outcome {
	case Failure:
		s.Stats.fails++
	case Success:
		s.succeededMS = now.MonoMS
	}
	if a.keepPlace(s) {
		return false
	}
	g.vacate(s)
	if g.primary.single && a.set == &g.primary {
		a.tries = 0
		if outcome == Failure {
			g.failing(s)
		}
		s.recover(now)
		return false
	}
	if a.tries > 0 {
		a.tries--
	}
	if outcome == Failure {
		return s.fail(now)
	}
	if s.accessedMS < s.checkedMS {
		s.recover(now)
	}
	return false
}

// fail accounts one failure, as ngx_http_upstream_free_round_robin_peer does.
func (s *Server) fail(now clock.Reading) (disabled bool) {
	s.fails++
	s.accessedMS, s.checkedMS = now.MonoMS, now.MonoMS
	if s.settings.MaxFails == 0 {
		return false
	}
	s.effectiveWeight = max(s.effectiveWeight-s.settings.Weight/s.settings.MaxFails, 0)
	if s.fails < s.settings.MaxFails {
		return false
	}
	if !s.failed {
		s.failed = true
		s.Stats.unavail++
		s.Stats.goneOut(now.WallMS)
		s.group.failing(s)
	}
	return true
}

// recover resets the failures of a server that responded.
func (s *Server) recover(now clock.Reading) {
	s.fails = 0
	if s.failed {
		s.failed = false
		s.noteReturn(now)
		s.beginSlowStart(now.MonoMS)
	}
}

// noteReturn ends the downtime unless the server is still unavailable for another reason.
func (s *Server) noteReturn(now clock.Reading) {
	if !s.failed && !s.outOfService() {
		s.Stats.backIn(now.WallMS)
	}
}

// Smooth is one round of nginx's smooth weighted round robin: every offered server gains its weight, the one with the
// most is taken and pays what all gained.
type Smooth struct {
	best  *Server
	total int
}

// Offer adds a usable server to the round.
func (w *Smooth) Offer(a *Attempt, s *Server) {
	share := s.share(a.nowMS)
	s.currentWeight += share
	w.total += share
	if s.effectiveWeight < s.settings.Weight {
		s.effectiveWeight++
	}
	if w.best == nil || s.currentWeight > w.best.currentWeight {
		w.best = s
	}
}

// Take ends the round: chosen pays if it is not nil (a sticky session's server), otherwise the best. It returns nil if
// none was offered.
func (w *Smooth) Take(chosen *Server) *Server {
	if chosen == nil {
		chosen = w.best
	}
	if chosen != nil {
		chosen.currentWeight -= w.total
	}
	return chosen
}
