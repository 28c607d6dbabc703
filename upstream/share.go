package upstream

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"starling/lib/clock"
	"starling/lib/stamp"
)

// Edit is all that the API has changed of one server of a shared group, on any node. The cluster has at most one for
// each server; the newest wins as a whole.
type Edit struct {
	// Key names the server on all nodes: see Settings.Key. Template is the key of the template of a server that DNS
	// found, otherwise empty.
	Key, Template string
	// Added means that the API added the server: Settings are those of a node whose configuration does not have it.
	// Removed means that it removed the server.
	Added, Removed bool
	Settings       Settings
	// Change has the parameters that were set. They count everywhere, whatever the configuration of a node says.
	Change Change
	// Brief means that the edit ends after BriefLife: it overrides no configuration for ever.
	Brief bool
	// Stamp orders the edits of a server, Node and Host say where this one was made. The cluster sets them.
	Stamp      stamp.Stamp
	Node, Host string
	// Did is what the last change did, and Last what it set, if it changed parameters. Earlier are the changes before
	// it, the newest first, at most MaxEarlier.
	Did     string
	Last    Change
	Earlier []Made
}

// Cluster has the edits of a group. Its methods are called under locks of the group.
type Cluster interface {
	// Write tells all nodes of an edit. Read then returns it, unless another node's is newer.
	Write(e *Edit, now clock.Reading) error
	// Read returns the edit of a server. It is nil with known if the edit was deleted: each node goes back to its
	// configuration. Without known, nothing is known, or an edit has ended, and nothing changes.
	Read(key string, now clock.Reading) (e *Edit, known bool)
}

// sharing is what a group needs to follow the edits of a cluster.
type sharing struct {
	cluster Cluster
	own     []Settings // the servers of this node's configuration
}

// ownWith returns the servers of this node's configuration with a key.
func (s *sharing) ownWith(key string) (list []Settings) {
	for i := range s.own {
		if s.own[i].Key() == key {
			list = append(list, s.own[i])
		}
	}
	return list
}

// Share lets the API change the group on all nodes of a cluster. The servers that the group has are those of this
// node's configuration.
func (g *Group) Share(c Cluster) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sharing = &sharing{cluster: c}
	g.each(func(s *Server) {
		if s.parent == nil {
			g.sharing.own = append(g.sharing.own, s.settings)
		}
	})
}

// Key names a server on all nodes: its address, or the name to be resolved, with its port or service. The word that a
// configuration has for an address can differ between nodes.
func (s *Settings) Key() string {
	switch {
	case !s.template():
		return s.Addr.Text
	case s.Service != "":
		return strings.ToLower(s.Host) + "/" + s.Service
	}
	return strings.ToLower(s.Host) + ":" + strconv.Itoa(int(s.Port))
}

// FoundKey is the key of a server that DNS found for a template.
func FoundKey(template string, a Address) string { return template + " " + a.Text }

// key is the key of a server's edits.
func (s *Server) key() string {
	if s.parent != nil {
		return FoundKey(s.parent.settings.Key(), s.Addr)
	}
	return s.settings.Key()
}

// Follow makes the servers with a key what the cluster says, and returns whether it did: without wait it does not if a
// change of the API is under way.
func (g *Group) Follow(key string, wait bool, now clock.Reading) (followed bool, err error) {
	if wait {
		g.changes.Lock()
	} else if !g.changes.TryLock() {
		return false, nil
	}
	defer g.changes.Unlock()
	return true, g.followKey(key, now)
}

// write writes an edit to the cluster and follows it; under the lock of changes. An error of the cluster means that
// nothing was changed.
func (g *Group) write(e *Edit, now clock.Reading) error {
	if err := g.sharing.cluster.Write(e, now); err != nil {
		return err
	}
	if err := g.followKey(e.Key, now); err != nil {
		return err
	}
	return g.save(nil)
}

// Forget makes the servers whose edits the cluster has lost what this node's configuration says. It looks at all
// servers, because nobody knows which edits there were.
func (g *Group) Forget(now clock.Reading) error {
	g.changes.Lock()
	defer g.changes.Unlock()
	var errs []error
	for _, key := range g.editedKeys() {
		if _, known := g.sharing.cluster.Read(key, now); !known {
			errs = append(errs, g.become(key, nil, now))
		}
	}
	return errors.Join(errs...)
}

// editedKeys are those of the servers that an edit has changed, added or removed, as far as the group shows it.
func (g *Group) editedKeys() (keys []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	there := map[string]bool{}
	g.each(func(s *Server) {
		key := s.key()
		if there[key] = true; s.edit != nil {
			keys = append(keys, key)
		}
	})
	for i := range g.sharing.own {
		if key := g.sharing.own[i].Key(); !there[key] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (g *Group) followKey(key string, now clock.Reading) error {
	e, known := g.sharing.cluster.Read(key, now)
	if !known {
		return nil
	}
	return g.become(key, e, now)
}

// become makes the servers with a key what an edit says, or, without one, the configuration; under the lock of changes.
func (g *Group) become(key string, e *Edit, now clock.Reading) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.serve(now)
	defer g.recount()
	var found []*Server
	g.each(func(s *Server) {
		if s.parent != nil && s.key() == key {
			found = append(found, s)
		}
	})
	for _, s := range found {
		s.edit = e
		s.becomeFound(now)
	}
	if len(found) > 0 || e != nil && e.Template != "" {
		return nil
	}
	return g.followOwn(key, e, now)
}

// followOwn makes the servers with a key, except those that DNS found, what an edit says; under the lock.
func (g *Group) followOwn(key string, e *Edit, now clock.Reading) error {
	var have []*Server
	g.each(func(s *Server) {
		if s.parent == nil && s.key() == key {
			have = append(have, s)
		}
	})
	wanted := g.sharing.ownWith(key)
	switch {
	case e != nil && e.Removed:
		wanted = nil
	case e != nil && e.Added && len(wanted) == 0:
		wanted = []Settings{e.Settings}
	}
	for i, target := range wanted {
		if e != nil {
			if e.Added {
				target.Backup = e.Settings.Backup
			}
			target.apply(e.Change)
		}
		if i < len(have) && have[i].settings.Backup == target.Backup {
			have[i].edit = e
			have[i].become(target, now)
			continue
		}
		if i < len(have) {
			g.drop(have[i])
		}
		s, err := g.add(target, now)
		if err != nil {
			return err
		}
		s.edit = e
	}
	for _, s := range have[min(len(wanted), len(have)):] {
		g.drop(s)
	}
	return nil
}

// become gives a server, and those found for it, settings; under the lock.
func (s *Server) become(target Settings, now clock.Reading) {
	s.apply(target.Whole(), now)
	if !s.settings.template() {
		return
	}
	for _, found := range s.group.childrenOf(s) {
		found.becomeFound(now)
	}
}

// becomeFound gives a server that DNS found the settings of its template, and over them what its own edit has set: a
// later change of the template has removed from the edit what it sets itself.
func (s *Server) becomeFound(now clock.Reading) {
	target := s.parent.settings
	target.Weight = s.parent.weightOf(s.dnsWeight)
	if s.edit != nil {
		change := s.edit.Change
		if s.parent.settings.Service != "" {
			change.Weight = nil
		}
		target.apply(change)
	}
	s.apply(target.Whole(), now)
}

// Whole is the change that sets all parameters that can change.
func (s *Settings) Whole() Change {
	return Change{Weight: &s.Weight, MaxConns: &s.MaxConns, MaxFails: &s.MaxFails, FailTimeout: &s.FailTimeout,
		SlowStart: &s.SlowStart, Route: &s.Route, Down: &s.Down, Drain: &s.Drain}
}

// With is a change followed by another one.
func (c Change) With(next Change) Change {
	if next.Down != nil && next.Drain == nil {
		next.Drain = new(bool) // as in Settings.apply
	}
	return Change{
		Weight: cmp.Or(next.Weight, c.Weight), MaxConns: cmp.Or(next.MaxConns, c.MaxConns),
		MaxFails: cmp.Or(next.MaxFails, c.MaxFails), FailTimeout: cmp.Or(next.FailTimeout, c.FailTimeout),
		SlowStart: cmp.Or(next.SlowStart, c.SlowStart), Route: cmp.Or(next.Route, c.Route),
		Down: cmp.Or(next.Down, c.Down), Drain: cmp.Or(next.Drain, c.Drain),
	}
}

// without is a change without the parameters that a later one sets.
func (c Change) without(later Change) Change {
	return Change{
		Weight: unless(later.Weight, c.Weight), MaxConns: unless(later.MaxConns, c.MaxConns),
		MaxFails: unless(later.MaxFails, c.MaxFails), FailTimeout: unless(later.FailTimeout, c.FailTimeout),
		SlowStart: unless(later.SlowStart, c.SlowStart), Route: unless(later.Route, c.Route),
		Down: unless(later.Down, c.Down), Drain: unless(later.Drain, c.Drain),
	}
}

func unless[T any](later, value *T) *T {
	if later != nil {
		return nil
	}
	return value
}

// Parameter is a parameter of a change by its name in the API; value is nil if it is not set.
type Parameter struct {
	Name  string
	Value any
}

// Parameters lists the parameters that a change sets, as the API names and writes them.
func (c *Change) Parameters() (list []Parameter) {
	add := func(name string, set bool, value func() any) {
		if set {
			list = append(list, Parameter{name, value()})
		}
	}
	add("weight", c.Weight != nil, func() any { return *c.Weight })
	add("max_conns", c.MaxConns != nil, func() any { return *c.MaxConns })
	add("max_fails", c.MaxFails != nil, func() any { return *c.MaxFails })
	add("fail_timeout", c.FailTimeout != nil, func() any { return FormatTime(*c.FailTimeout) })
	add("slow_start", c.SlowStart != nil, func() any { return FormatTime(*c.SlowStart) })
	add("route", c.Route != nil, func() any { return *c.Route })
	add("down", c.Down != nil, func() any { return *c.Down })
	add("drain", c.Drain != nil, func() any { return *c.Drain })
	return list
}

// addShared is AddNew for a shared group; under the lock of changes.
func (g *Group) addShared(settings Settings, now clock.Reading) (*Server, error) {
	key := settings.Key()
	before, _ := g.sharing.cluster.Read(key, now)
	e := &Edit{Key: key, Added: true, Settings: settings, Change: settings.Whole()}
	if err := g.write(e.after(before, DidAdd, Change{}), now); err != nil {
		return nil, err
	}
	return g.withKey(key)
}

// changeShared is Change for a shared group; under the lock of changes.
func (g *Group) changeShared(s *Server, c Change, now clock.Reading) (*Server, error) {
	e := &Edit{Key: s.key(), Brief: s.parent != nil}
	if s.parent != nil {
		e.Template = s.parent.settings.Key()
	}
	before, _ := g.sharing.cluster.Read(e.Key, now)
	if before != nil && !before.Removed {
		e.Added, e.Settings, e.Change = before.Added, before.Settings, before.Change
	}
	e.Change = e.Change.With(c)
	if err := g.write(e.after(before, DidChange, c), now); err != nil {
		return nil, err
	}
	for _, outdated := range g.outdatedBy(s, Change{}.With(c)) {
		if err := g.write(outdated, now); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// outdatedBy are the edits of the servers of a template without what a change of it sets.
func (g *Group) outdatedBy(template *Server, c Change) (edits []*Edit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, found := range g.childrenOf(template) {
		if found.edit != nil && found.edit.Change.without(c) != found.edit.Change {
			e := *found.edit
			e.Change = e.Change.without(c)
			edits = append(edits, e.after(found.edit, DidChange, Change{}))
		}
	}
	return edits
}

// removeShared is Remove for a shared group; under the lock of changes.
func (g *Group) removeShared(s *Server, now clock.Reading) error {
	key := s.key()
	before, _ := g.sharing.cluster.Read(key, now)
	e := &Edit{Key: key, Removed: true, Brief: len(g.sharing.ownWith(key)) == 0}
	return g.write(e.after(before, DidRemove, Change{}), now)
}

// withKey finds a server that DNS did not find.
func (g *Group) withKey(key string) (found *Server, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.each(func(s *Server) {
		if found == nil && s.parent == nil && s.key() == key {
			found = s
		}
	})
	if found == nil { // another node has removed it meanwhile
		return nil, &EditError{ServerNotFound, "server \"" + key + "\" was removed on another node meanwhile"}
	}
	return found, nil
}

// At is the time of an edit as the API writes it.
func (e *Edit) At() string { return timestamp(e.Stamp.MS()) }

// Cluster is what the group was shared with, nil if changes are of this node alone.
func (g *Group) Cluster() Cluster {
	if g.sharing == nil {
		return nil
	}
	return g.sharing.cluster
}

// SaveState saves the servers as they are.
func (g *Group) SaveState() error {
	g.changes.Lock()
	defer g.changes.Unlock()
	return g.save(nil)
}

// Own are the servers of this node's configuration, which those of the group can differ from.
func (g *Group) Own() []Settings {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sharing.own
}

// BriefLife is how long a Brief edit counts. Such an edit removes a server that is not in the configuration of the node
// that removed it, or changes a server that DNS found, whose address another server gets some time.
const BriefLife = 24 * time.Hour

// KeepIDs gives the servers that will be added the ids that they have in the group of the previous configuration: a
// client that has asked for them before a reload changes the server that it means. Others get ids that no server had.
func (g *Group) KeepIDs(old *Group) {
	ids := map[string]int{}
	old.mu.Lock()
	old.each(func(s *Server) {
		if s.parent == nil {
			ids[s.key()] = s.ID
		}
	})
	next := old.nextID
	old.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.each(func(s *Server) { delete(ids, s.key()) }) // it has one
	g.keptIDs, g.nextID = ids, max(g.nextID, next)
}

// idFor is the id of a new server.
func (g *Group) idFor(settings *Settings, parent *Server) int {
	if parent == nil && g.keptIDs != nil {
		key := settings.Key()
		id, had := g.keptIDs[key]
		delete(g.keptIDs, key) // it is never used again
		if had && g.find(id) == nil {
			return id
		}
	}
	g.nextID++
	return g.nextID - 1
}
