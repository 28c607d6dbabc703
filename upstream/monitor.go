package upstream

import "starling/lib/clock"

// Health is what the health checks of a group know of a server.
type Health uint8

const (
	// Healthy also stands for servers that nothing checks.
	Healthy Health = iota
	// Checking servers get no clients before they pass the first check (mandatory).
	Checking
	// Unhealthy servers have failed a check.
	Unhealthy
)

// Monitor checks the servers of a group.
type Monitor interface {
	// Joined is called for each server that comes into the group, or back from being down, under the lock of the group:
	// it must call no method of the group or the server. It returns the health with which the server starts, and a
	// value that replaces the one of an earlier call; see Server.SetHealth.
	Joined(s *Server) (watch any, h Health)
	// Failing is called when failures of clients make a server unavailable, and for each failure of the only server of
	// a group, which never becomes so; with what Joined returned, and under the same rules.
	Failing(watch any)
}

// failing tells the monitor of a failure of clients.
func (g *Group) failing(s *Server) {
	if g.monitor != nil {
		g.monitor.Failing(s.watch)
	}
}

// Succeeded is when the server has last served a client (monotonic), 0 if it never did.
func (s *Server) Succeeded() int64 {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return s.succeededMS
}

// Watch sets the monitor of the group and announces all servers to it.
func (g *Group) Watch(m Monitor, now clock.Reading) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.monitor = m
	for _, set := range []*Set{&g.primary, &g.backup} {
		for _, s := range set.servers {
			g.announce(s)
			if s.outOfService() {
				s.Stats.goneOut(now.WallMS)
			}
		}
	}
	g.recount()
}

// announce tells the monitor of a server.
func (g *Group) announce(s *Server) {
	if g.monitor != nil {
		s.watch, s.health = g.monitor.Joined(s)
	}
}

// SetHealth changes the health of a server. watch is what Joined returned for it: after the server has left, or was
// announced again, nothing changes. changed tells whether the health was another before.
func (s *Server) SetHealth(watch any, h Health, now clock.Reading) (changed bool) {
	g := s.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.removed || s.watch != watch || s.health == h {
		return false
	}
	s.health = h
	g.recount()
	if h != Healthy {
		if h == Unhealthy {
			s.Stats.unhealthy.Add(1)
		}
		s.Stats.goneOut(now.WallMS)
		return true
	}
	// Failures of clients are older than this success.
	s.fails, s.failed = 0, false
	s.noteReturn(now)
	s.beginSlowStart(now.MonoMS)
	g.serve(now)
	return true
}

// Checkable reports whether a server can be checked now (it is not down), and whether it has left the group or was
// announced again since Joined returned watch.
func (s *Server) Checkable(watch any) (now, gone bool) {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return !s.settings.Down || s.settings.Drain, s.removed || s.watch != watch
}

// Identity is a server as configurations and operators know it: by name and address.
type Identity struct{ Name, Address string }

// Identity returns that of a server.
func (s *Server) Identity() Identity { return Identity{s.Name, s.Addr.Text} }

// Healths returns the health of all servers.
func (g *Group) Healths() map[Identity]Health {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := map[Identity]Health{}
	for _, set := range []*Set{&g.primary, &g.backup} {
		for _, s := range set.servers {
			all[s.Identity()] = s.health
		}
	}
	return all
}

// CountsVerdicts makes Checks have the verdicts of other nodes.
func (s *Stats) CountsVerdicts() { s.isShared.Store(true) }

// CountTaken counts a verdict of another node that now counts here, CountContradicted one that this node has begun to
// doubt.
func (s *Stats) CountTaken() { s.takenVerdicts.Add(1) }

// CountContradicted is described at CountTaken.
func (s *Stats) CountContradicted() { s.contradicted.Add(1) }

// CountCheck counts one health check.
func (s *Stats) CountCheck(passed bool) {
	s.checks.Add(1)
	s.NoteCheck(passed)
	if !passed {
		s.failedChecks.Add(1)
	}
}

// NoteCheck notes how the last health check ended, whoever made it.
func (s *Stats) NoteCheck(passed bool) {
	if passed {
		s.last.Store(outcomePassed)
	} else {
		s.last.Store(outcomeFailed)
	}
}

// The outcomes of a health check.
const (
	outcomeNone int32 = iota
	outcomePassed
	outcomeFailed
)

func (s *Stats) healthChecks() Checks {
	c := Checks{Checks: s.checks.Load(), Fails: s.failedChecks.Load(), Unhealthy: s.unhealthy.Load()}
	if s.isShared.Load() {
		taken, contradicted := s.takenVerdicts.Load(), s.contradicted.Load()
		c.Taken, c.Contradicted = &taken, &contradicted
	}
	if last := s.last.Load(); last != outcomeNone {
		passed := last == outcomePassed
		c.LastPassed = &passed
	}
	return c
}
