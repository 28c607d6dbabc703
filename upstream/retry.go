package upstream

import "starling/lib/clock"

// Keep makes the next Free keep the attempt's place on the current server: an idle connection was outdated, which says
// nothing about the server, so the request is retried there on a new connection. Otherwise max_conns gives the place to
// another request between Free and Pick, and no server is left for the retry. The next Pick or GiveUp must follow.
//
// Only a single server, and the servers of a group with a queue, are kept. As in nginx, a retry in other groups goes to
// the next server.
func (a *Attempt) Keep() { a.keeps = true }

// Keeps reports whether Free has kept the place on a server.
func (a *Attempt) Keeps() bool { return a.kept != nil }

// GiveUp frees the place that Free has kept, if any: there is no retry.
func (a *Attempt) GiveUp(now clock.Reading) {
	if a.kept == nil {
		return
	}
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	a.releaseKept()
	a.group.serve(now)
}

// keepPlace keeps the place on a server that Free leaves, if Keep has asked for that; under the lock.
func (a *Attempt) keepPlace(s *Server) bool {
	g := a.group
	if !a.keeps {
		return false
	}
	a.keeps = false
	if g.queue == nil && !(g.primary.single && a.set == &g.primary) {
		return false
	}
	a.kept = s
	return true
}

// takeKept selects the server whose place was kept. It returns nil if the server has gone out of service since; then
// its place is free. A draining server still takes the retry: it took the request before. Under the lock.
func (a *Attempt) takeKept(now clock.Reading) *Server {
	s := a.kept
	if s.removed || s.settings.Down || s.health != Healthy {
		a.releaseKept()
		a.group.serve(now)
		return nil
	}
	a.kept, a.nowMS = nil, now.MonoMS
	a.enter(s, now)
	return s
}

// releaseKept frees the place that was kept; under the lock. The caller serves the queue.
func (a *Attempt) releaseKept() {
	a.group.vacate(a.kept)
	a.kept = nil
}

// vacate frees one place on a server; under the lock.
func (g *Group) vacate(s *Server) {
	s.active--
	if s.removed && s.active == 0 {
		g.zombies--
	}
}
