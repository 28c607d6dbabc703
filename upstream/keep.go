package upstream

import (
	"cmp"
	"slices"

	"starling/lib/clock"
)

// Keep saves what the servers of a group will be after a change through the API: every server that the configuration or
// the API added, the oldest first, without those that DNS added to templates. The change is made only if it returns
// nil. It may block: requests are served meanwhile.
type Keep func(servers []Settings) error

// SetKeep makes the group save its servers; only before the first change.
func (g *Group) SetKeep(keep Keep) { g.keep = keep }

// save saves the servers as a change will leave them; under the lock of changes. Changing removes a server if it
// returns false; added are the new ones.
func (g *Group) save(changing func(id int, s *Settings) bool, added ...Settings) error {
	if g.keep == nil {
		return nil
	}
	return g.keep(append(g.own(changing), added...))
}

// own lists the settings of the servers that DNS did not add, the oldest first, each after a change.
func (g *Group) own(changing func(id int, s *Settings) bool) []Settings {
	type numbered struct {
		id       int
		settings Settings
	}
	var all []numbered
	g.mu.Lock()
	g.each(func(s *Server) {
		if s.parent != nil {
			return
		}
		settings := s.settings
		if changing == nil || changing(s.ID, &settings) {
			all = append(all, numbered{s.ID, settings})
		}
	})
	g.mu.Unlock()
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.id, b.id) })
	list := make([]Settings, len(all))
	for i, n := range all {
		list[i] = n.settings
	}
	return list
}

// Replace makes the servers those of the list, for a group that serves nobody yet.
func (g *Group) Replace(list []Settings, now clock.Reading) error {
	g.mu.Lock()
	for _, t := range slices.Clone(g.templates) {
		g.removeTemplate(t)
	}
	for _, set := range []*Set{&g.primary, &g.backup} {
		for _, s := range slices.Clone(set.servers) {
			g.leave(s)
		}
	}
	g.mu.Unlock()
	for _, settings := range list {
		if _, err := g.Add(settings, now); err != nil {
			return err
		}
	}
	return nil
}

// Adopt makes the servers those of a list that another process has saved, for a group that serves. A server that stays
// keeps its connections and figures.
func (g *Group) Adopt(list []Settings, now clock.Reading) error {
	g.changes.Lock()
	defer g.changes.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.serve(now)
	defer g.recount()
	var have []*Server
	g.each(func(s *Server) {
		if s.parent == nil {
			have = append(have, s)
		}
	})
	var fresh []Settings
	for _, target := range list {
		at := slices.IndexFunc(have, func(s *Server) bool {
			return s.key() == target.Key() && s.settings.Backup == target.Backup
		})
		if at < 0 {
			fresh = append(fresh, target)
			continue
		}
		have[at].become(target, now)
		have = slices.Delete(have, at, at+1)
	}
	for _, s := range have {
		g.drop(s)
	}
	for _, settings := range fresh {
		if _, err := g.add(settings, now); err != nil {
			return err
		}
	}
	return nil
}
