package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"starling/admin"
	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/logs"
	"starling/plan"
	servers "starling/upstream"
	"starling/zone"
	"starling/zone/kinds"
)

// sharedZone is the value of a zone with `sync`: what the API has changed of the servers of its upstream blocks, on any
// node. It belongs to one configuration; the memory and the marks outlive a reload.
type sharedZone struct {
	memory  *kinds.Keyval
	marks   *marks
	clock   *clock.Clock
	log     logs.Logger
	members map[string]*member // by the name of the upstream
	// continued means that the memory is that of the previous configuration.
	continued bool
	wake      chan struct{} // holds one when there are marks
	failed    logs.Repeats  // limits the lines of changes that this node cannot follow
}

// Unwrap returns the zone itself.
func (z *sharedZone) Unwrap() zone.Shared { return z.memory }

// marks are the keys of pairs that have changed and were not followed yet.
type marks struct {
	// follower is the configuration whose groups follow: the running one.
	follower atomic.Pointer[sharedZone]
	// following is held while marked pairs are followed, but not while one waits for a change of the API; and while
	// the follower changes: the previous one must not take what the next one has to follow.
	following sync.Mutex

	mu   sync.Mutex
	keys map[string]struct{}
	all  bool // more than maxMarks
}

// maxMarks bounds the memory of marks; beyond, all pairs are looked at.
const maxMarks = 10_000

// mark notes that a pair has changed. It is called under the lock of a shard.
func (m *marks) mark(key []byte) {
	m.mu.Lock()
	if len(m.keys) >= maxMarks {
		m.all, m.keys = true, nil
	}
	if !m.all {
		if m.keys == nil {
			m.keys = map[string]struct{}{}
		}
		m.keys[string(key)] = struct{}{}
	}
	m.mu.Unlock()
	if z := m.follower.Load(); z != nil {
		soon(z.wake)
	}
}

// entrust makes a zone the one whose groups follow, and returns the one before; either is nil if there is none.
func (m *marks) entrust(to *sharedZone) (before *sharedZone) {
	m.following.Lock()
	defer m.following.Unlock()
	return m.follower.Swap(to)
}

func (m *marks) take() (keys []string, all bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys, all = slices.Sorted(maps.Keys(m.keys)), m.all
	m.keys, m.all = nil, false
	return keys, all
}

// member is one upstream block of a shared zone. It implements servers.Cluster.
type member struct {
	*reader
	zone    *sharedZone
	name    string
	group   *servers.Group
	accepts func(*servers.Settings) *admin.APIError
	node    func() string
	host    string
	// saved and noted are called after the group has followed another node, and after the zone has noted something
	// about the cluster; nil without state.
	saved, noted func()
}

// shareZone makes a zone with `sync`, or takes it over, and returns it.
func shareZone(p *plan.Plan, z *plan.Zone, side string, r *reader) (*sharedZone, error) {
	if s, made := z.Value.(*sharedZone); made {
		return s, nil
	}
	s := &sharedZone{clock: p.Clock, log: p.Log, members: map[string]*member{}, wake: make(chan struct{}, 1)}
	z.Value = s
	var err error
	s.continued, err = plan.Continue(p, z, plan.Continuation[*sharedZone]{
		Take: func(old *sharedZone) { s.memory, s.marks = old.memory, old.marks },
		Change: func() {
			s.memory.Reconfigure(kinds.Change{
				Bytes: z.Bytes, Expression: s.memory.Info().Expression, Sync: true,
			}, p.Clock.Now())
		},
		Settle: func() { s.settle(p, z) },
		Make:   func(*sharedZone) { s.make(z, side, r, p.StampClock()) },
	})
	if err != nil {
		return nil, err
	}
	p.OnStart(func(ctx context.Context) error {
		before := s.marks.entrust(s)
		p.OnUndo(func() {
			if s.marks.entrust(before); before != nil {
				before.followAll() // what has changed meanwhile
			}
		})
		s.followAll()
		go s.run(ctx)
		return nil
	})
	return s, nil
}

func (z *sharedZone) make(from *plan.Zone, side string, r *reader, stamps *stamp.Clock) {
	m := new(marks)
	z.marks = m
	z.memory = kinds.NewServers(kinds.ServersConfig{
		Name: from.Name, Expression: "servers of " + side, Bytes: from.Bytes, Clock: stamps,
		Check: r.check, Changed: m.mark,
	})
	z.memory.OnCommit(
		func([]byte) (func() error, error) { return func() error { return nil }, nil }, // the group saves itself
		func([]byte) {
			if z := m.follower.Load(); z != nil {
				z.followMarks(false) // usually before the peer gets its acknowledgement
				z.note()
			}
		},
	)
}

// settle drops what has no room in a zone that has become smaller. The groups have followed it before: the reload could
// still fail then.
func (z *sharedZone) settle(p *plan.Plan, of *plan.Zone) {
	dropped := z.memory.Settle(z.clock.Now())
	if p.TellDropped(of, dropped, "changes of servers"); dropped == 0 {
		return
	}
	for name, m := range z.members {
		if err := m.group.Forget(z.clock.Now()); err != nil {
			z.log.Logf(logs.Error, "cannot make the servers of upstream \"%s\" those of the configuration again: %v",
				name, err)
		}
		if m.saved != nil {
			m.saved()
		}
	}
}

// note tells the state files that the zone has something to save, even if it has no change of a server.
func (z *sharedZone) note() {
	for _, m := range z.members {
		if m.noted != nil {
			m.noted()
		}
	}
}

// run follows what other nodes change, until the configuration retires.
func (z *sharedZone) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-z.wake:
		}
		if z.marks.follower.Load() == z {
			z.followMarks(true)
		}
	}
}

// followMarks follows the changed pairs. When it returns, those that were marked before are followed, whoever did it,
// except where the API is changing the group: run follows these right after that change.
func (z *sharedZone) followMarks(wait bool) {
	for _, pair := range z.followFree() {
		if wait {
			z.follow(pair, true)
		} else {
			z.marks.mark([]byte(pair))
		}
	}
}

// followFree follows the changed pairs without waiting, and returns those for which it would have to. A zone that is
// not the follower any more follows nothing.
func (z *sharedZone) followFree() (busy []string) {
	z.marks.following.Lock()
	defer z.marks.following.Unlock()
	if z.marks.follower.Load() != z {
		return nil
	}
	keys, all := z.marks.take()
	if all {
		keys = z.keys()
	}
	for _, pair := range keys {
		if !z.follow(pair, false) {
			busy = append(busy, pair)
		}
	}
	return busy
}

// keys are those of all pairs, the oldest change first: servers that were added get their IDs in that order.
func (z *sharedZone) keys() []string {
	pairs := slices.Collect(z.memory.All(z.clock.Now()))
	slices.SortFunc(pairs, func(a, b kinds.Pair) int { return cmp.Compare(a.Stamp, b.Stamp) })
	keys := make([]string, len(pairs))
	for i, pair := range pairs {
		keys[i] = string(pair.Key)
	}
	return keys
}

// followAll follows all pairs.
func (z *sharedZone) followAll() {
	for _, pair := range z.keys() {
		z.follow(pair, true)
	}
}

// follow makes the servers of a pair what it says, and reports whether it did not have to wait.
func (z *sharedZone) follow(pair string, wait bool) bool {
	upstream, key, _ := cutPairKey([]byte(pair))
	m := z.members[upstream]
	if m == nil {
		return true // the configurations of the nodes differ: this one has no such upstream
	}
	followed, err := m.group.Follow(key, wait, z.clock.Now())
	if err != nil {
		z.fails(key, upstream, "another node", err)
	}
	if followed && m.saved != nil {
		m.saved()
	}
	return followed
}

// fails logs that this node cannot follow a change. A peer can make many such changes.
func (z *sharedZone) fails(key, upstream, node string, err error) {
	if note, write := z.failed.Next(z.clock.Now().MonoMS); write {
		z.log.Logf(logs.Error, "cannot change server \"%s\" of upstream \"%s\" as %s did: %v%s", key, upstream, node,
			err, note)
	}
}

// Write implements servers.Cluster.
func (m *member) Write(e *servers.Edit, now clock.Reading) error {
	e.Node, e.Host = m.node(), m.host
	value, err := m.record(m.name, e)
	if err != nil {
		return err
	}
	key := pairKey(m.name, e.Key)
	if err := m.check(key, value); err != nil { // the others would reject it
		return &servers.EditError{
			Code: servers.BadAddress, Text: "the cluster cannot share this server: " + err.Error(),
		}
	}
	lifeMS := int64(kinds.NoExpire)
	if e.Brief {
		lifeMS = servers.BriefLife.Milliseconds()
	}
	err = m.zone.memory.Set(key, value, lifeMS, now)
	if errors.Is(err, kinds.ErrFull) {
		return &servers.EditError{Code: servers.OutOfMemory, Text: fmt.Sprintf(
			"zone \"%s\" has no room for the change: increase its size on all nodes", m.zone.memory.Info().Name)}
	}
	if err == nil {
		m.zone.passOn(string(key))
	}
	return err
}

// passOn lets the running configuration follow what a request of a previous one has changed: its client sees the change
// at once, whichever it asks next.
func (z *sharedZone) passOn(pair string) {
	if running := z.marks.follower.Load(); running != nil && running != z {
		running.follow(pair, true)
	}
}

// Read implements servers.Cluster.
func (m *member) Read(key string, now clock.Reading) (e *servers.Edit, known bool) {
	pair, exists, known := m.zone.memory.Look(pairKey(m.name, key), now)
	if !exists {
		return nil, known
	}
	e, rec, err := m.edit(pair)
	if err == nil {
		settings := e.Settings
		settings.SlowStart = 0
		if e.Change.SlowStart != nil {
			settings.SlowStart = *e.Change.SlowStart
		}
		err = problemOf(m.accepts(&settings))
	}
	if err != nil {
		m.zone.fails(key, m.name, fmt.Sprintf("node %s (%s)", rec.Node, rec.Host), err)
		return nil, false
	}
	return e, true
}

// hostName is the name of this machine, as far as it fits into a record.
func hostName() string {
	name, err := os.Hostname()
	if err != nil || len(name) > maxHostBytes || strings.ContainsFunc(name, isControl) {
		return ""
	}
	return name
}
