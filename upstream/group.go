package upstream

import (
	"fmt"
	"sync"
	"sync/atomic"

	"starling/lib/clock"
	"starling/lib/histogram"
	"starling/lib/stripes"
)

// maxServers bounds the servers of a group, which the API and DNS responses can grow. Ten times the largest groups in
// practice.
const maxServers = 65536

// Balancer selects among the servers of a set. A Balancer belongs to one group and is called under its lock.
type Balancer interface {
	// Choose returns the server for this try, or nil if none of the set can take it. wanted is the server of a sticky
	// session, already found usable, or nil.
	Choose(set *Set, a *Attempt, wanted *Server) *Server
}

// Set is the primary or the backup servers of a group, as seen by balancers, under the group's lock.
type Set struct {
	servers     []*Server
	totalWeight int
	version     uint64
	single      bool
}

// Servers are the members in the order of the configuration; the slice must not be kept or changed.
func (s *Set) Servers() []*Server { return s.servers }

// TotalWeight is the sum of the configured weights.
func (s *Set) TotalWeight() int { return s.totalWeight }

// Version changes with the members and their weights: a balancer then rebuilds its tables.
func (s *Set) Version() uint64 { return s.version }

// Group is an upstream block: servers, the method for selecting among them, and their idle connections.
type Group struct {
	// Name is the upstream's name; ZoneName and ZoneBytes are those of its zone directive, or empty.
	Name      string
	ZoneName  string
	ZoneBytes int64
	// Latency are the buckets in which response times are counted, nil for none; set before servers are added.
	Latency histogram.Bounds

	changes sync.Mutex // held through a change of the API; taken before mu
	keep    Keep       // nil: changes are not saved
	sharing *sharing   // nil: changes are of this node alone; set before the first change

	mu        sync.Mutex
	balancer  Balancer
	primary   Set
	backup    Set
	templates []*Server
	nextID    int
	keptIDs   map[string]int // by key; see KeepIDs
	version   uint64
	slots     []*Server // by Server.slot; nil is free
	zombies   int       // removed servers with requests in flight
	edits     chan struct{}
	pool      *Pool
	monitor   Monitor // nil if the group has no health checks
	queue     *queue  // nil without one

	tries atomic.Int64 // servers in service: how many a request can try
}

// NewGroup returns a group without servers.
func NewGroup(name string, balancer Balancer) *Group {
	return &Group{Name: name, balancer: balancer, edits: make(chan struct{}, 1)}
}

// SetBalancer sets the group's balancer; only before the first pick.
func (g *Group) SetBalancer(b Balancer) { g.balancer = b }

// Add adds a server, or a template to whose name the resolver will add servers.
func (g *Group) Add(settings Settings, now clock.Reading) (*Server, error) {
	if settings.Weight < 1 {
		return nil, &EditError{
			Code: BadWeight,
			Text: fmt.Sprintf("invalid weight %d of server %q", settings.Weight, settings.Name),
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.add(settings, now)
}

// add is Add under the lock.
func (g *Group) add(settings Settings, now clock.Reading) (*Server, error) {
	if settings.template() {
		if g.full() {
			return nil, g.outOfMemory()
		}
		s := g.newServer(settings, nil)
		g.templates = append(g.templates, s)
		g.edited()
		return s, nil
	}
	return g.join(settings, nil, now)
}

// newServer makes a server with the next id, or the one that it had.
func (g *Group) newServer(settings Settings, parent *Server) *Server {
	id := g.idFor(&settings, parent)
	s := &Server{ID: id, Name: settings.Name, Addr: settings.Addr, group: g, parent: parent, settings: settings}
	s.sessionID = sessionIDOf(settings.Route, settings.Addr.Text)
	s.effectiveWeight = settings.Weight
	s.idle.which, s.Stats.traffic = byServer, stripes.New[traffic]()
	if g.Latency != nil {
		s.Stats.latency = histogram.New(g.Latency)
	}
	return s
}

// join adds a new server to its set.
func (g *Group) join(settings Settings, parent *Server, now clock.Reading) (*Server, error) {
	if g.full() {
		return nil, g.outOfMemory()
	}
	slot := g.freeSlot()
	s := g.newServer(settings, parent)
	s.slot, g.slots[slot] = slot, s
	g.announce(s)
	set := g.setOf(s)
	set.servers = append(set.servers, s)
	g.recount()
	if s.outOfService() {
		s.Stats.goneOut(now.WallMS)
	}
	g.serve(now)
	return s, nil
}

// leave removes a server from its set. Its requests continue; its idle connections are closed.
func (g *Group) leave(s *Server) {
	set := g.setOf(s)
	for i, other := range set.servers {
		if other == s {
			set.servers = append(set.servers[:i:i], set.servers[i+1:]...)
			break
		}
	}
	g.slots[s.slot] = nil
	s.removed = true
	if s.active > 0 {
		g.zombies++
	}
	g.recount()
	if g.pool != nil {
		g.pool.dropServer(s)
	}
}

// full reports whether the group has as many servers as it may; under the lock.
func (g *Group) full() bool {
	return len(g.templates)+len(g.primary.servers)+len(g.backup.servers) >= maxServers
}

func (g *Group) outOfMemory() error {
	return &EditError{OutOfMemory, fmt.Sprintf("upstream %q already has %d servers, the limit", g.Name, maxServers)}
}

// freeSlot returns the lowest slot not owned by a current server.
func (g *Group) freeSlot() int {
	for i, s := range g.slots {
		if s == nil {
			return i
		}
	}
	g.slots = append(g.slots, nil)
	return len(g.slots) - 1
}

func (g *Group) setOf(s *Server) *Set {
	if s.settings.Backup {
		return &g.backup
	}
	return &g.primary
}

// recount updates what is derived from the members.
func (g *Group) recount() {
	tries := 0
	for _, set := range []*Set{&g.primary, &g.backup} {
		set.totalWeight = 0
		for _, s := range set.servers {
			set.totalWeight += s.settings.Weight
			if !s.outOfService() {
				tries++
			}
		}
		g.version++
		set.version = g.version // separate: a balancer's tables are of one set
	}
	g.tries.Store(int64(tries))
	g.primary.single = len(g.primary.servers) == 1 && len(g.backup.servers) == 0
}

// edited wakes the resolving loop, which compares the templates with those it resolves.
func (g *Group) edited() {
	select {
	case g.edits <- struct{}{}:
	default:
	}
}

// each calls f for every template and server, primaries first, in order; under the lock.
func (g *Group) each(f func(*Server)) {
	for _, list := range [][]*Server{g.templates, g.primary.servers, g.backup.servers} {
		for _, s := range list {
			f(s)
		}
	}
}

// find returns the server or template with an id; under the lock.
func (g *Group) find(id int) *Server {
	var found *Server
	g.each(func(s *Server) {
		if s.ID == id {
			found = s
		}
	})
	return found
}

// Empty reports whether the group has neither servers nor templates.
func (g *Group) Empty() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.templates)+len(g.primary.servers)+len(g.backup.servers) == 0
}
