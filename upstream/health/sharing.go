package health

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"starling/logs"
	"starling/upstream"
	"starling/upstream/health/turns"
	"starling/zone/kinds"
)

// Sharing lets the nodes of a cluster take turns with a check: see package turns.
type Sharing struct {
	// Zone has what the nodes tell. ID names the check: nodes with another ID do not take turns with this one.
	Zone *kinds.Health
	ID   turns.ID
	// Terms are the settings that make the ID, At is where the configuration has the check. The nodes tell each other
	// under the Roster of a group which checks they have; Place is the number of this one there.
	Terms  []turns.Term
	At     string
	Roster turns.ID
	Place  int
	// Node and Host name this node to operators.
	Node func() string
	Host string
	// Wakes wakes the checks of which another node has told something.
	Wakes *Wakes

	doubts, full logs.Repeats // limit the lines of verdicts that this node doubts, and of a zone without room
}

// Wakes belongs to a zone, and outlives the configurations that use it.
type Wakes struct {
	mu      sync.Mutex
	byKey   map[string][]*one
	present map[turns.ID]int      // configurations that have a check
	cards   map[string][]*Sharing // by where their cards are; the last is told
	changed map[*Checks]chan<- struct{}
}

// Wake makes the checks of a key look at once at what other nodes tell.
func (w *Wakes) Wake(key []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.byKey[string(key)] {
		o.watched.group.all.schedule.advance(o)
	}
	if !isOfCheck(key) {
		return
	}
	for _, signal := range w.changed {
		select {
		case signal <- struct{}{}:
		default: // it is going to look
		}
	}
}

// turn is what a check of a server needs to take turns.
type turn struct {
	key []byte // in the zone
	// failures counts those of clients since the server joined; isFailing means that the check does not know of the
	// last.
	failures  atomic.Uint64
	isFailing atomic.Bool

	mu     sync.Mutex // for who looks; the check itself changes it
	turn   *turns.Turn
	reason string // of its last failed probe
}

// takeTurns lets a check take turns, unless its server is of this machine only: another node would check its own.
func (c *Checks) takeTurns(o *one) {
	if o.check.Sharing == nil || !isShared(o.Server.Addr) {
		return
	}
	settings := turns.Check{
		IntervalMS: max(o.check.Interval.Milliseconds(), 1), Passes: o.check.Passes, Fails: o.check.Fails,
	}
	o.turn = &turn{key: slices.Concat(o.check.Sharing.ID[:], []byte(o.Server.Addr.Text))}
	o.turn.turn = turns.New(settings, o.turn.key, verdictOf(o.watched.health[o.number]), c.clock.Now().MonoMS)
	o.watched.shared = append(o.watched.shared, o)
	o.Server.Stats.CountsVerdicts()
}

// isShared reports whether all nodes reach the same server at an address.
func isShared(a upstream.Address) bool {
	local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return a.Network == "tcp" && a.IP.Addr() != local && a.IP.Addr() != netip.IPv6Loopback()
}

func verdictOf(h upstream.Health) turns.Verdict {
	switch h {
	case upstream.Healthy:
		return turns.Healthy
	case upstream.Unhealthy:
		return turns.Unhealthy
	}
	return turns.Unknown
}

func healthOf(v turns.Verdict) upstream.Health {
	switch v {
	case turns.Healthy:
		return upstream.Healthy
	case turns.Unhealthy:
		return upstream.Unhealthy
	}
	return upstream.Checking
}

// join and leave follow the checks that run.
func (s *Sharing) join(o *one) {
	s.Wakes.mu.Lock()
	defer s.Wakes.mu.Unlock()
	if s.Wakes.byKey == nil {
		s.Wakes.byKey = map[string][]*one{}
	}
	s.Wakes.byKey[string(o.turn.key)] = append(s.Wakes.byKey[string(o.turn.key)], o)
}

func (s *Sharing) leave(o *one) {
	s.Wakes.mu.Lock()
	key := string(o.turn.key)
	left := slices.DeleteFunc(s.Wakes.byKey[key], func(other *one) bool { return other == o })
	if s.Wakes.byKey[key] = left; len(left) == 0 {
		delete(s.Wakes.byKey, key)
	}
	s.Wakes.mu.Unlock()
	if len(left) == 0 {
		s.Zone.Withdraw(o.turn.key, o.watched.group.all.clock.Now())
	}
}

// Failing implements upstream.Monitor.
func (g *group) Failing(watch any) {
	w, ok := watch.(*watched)
	if !ok {
		return
	}
	for _, o := range w.shared {
		o.turn.failures.Add(1)
		if !o.turn.isFailing.Swap(true) {
			g.all.schedule.advance(o)
		}
	}
}

// view is what this node sees of a check of a server.
func (c *Checks) view(o *one) turns.View {
	o.turn.isFailing.Store(false)
	v := turns.Look(o.check.Sharing.Zone, o.check.Sharing.ID[:], o.turn.key, c.clock.Now().MonoMS)
	v.Failures, v.SucceededMS = o.turn.failures.Load(), o.Server.Succeeded()
	return v
}

// runShared looks what is to be done for a server, and probes it if it is this node's turn.
func (c *Checks) runShared(ctx context.Context, o *one) (pause time.Duration, again bool) {
	v := c.view(o)
	t := o.turn
	t.mu.Lock()
	step := t.turn.Look(v)
	current := t.turn.Current()
	passed, isTold := t.turn.LastPassed()
	t.mu.Unlock()
	if isTold {
		o.Server.Stats.NoteCheck(passed)
	}
	if step.Contradicted {
		o.Server.Stats.CountContradicted()
		c.tellDoubt(o, &v, step.From)
	}
	if step.Took {
		o.Server.Stats.CountTaken()
		c.become(o, healthOf(current), func() { c.tellTaken(o, &v, step.From, current) })
	}
	now := c.clock.Now()
	switch {
	case step.Tell:
		c.say(o, 0, now.MonoMS)
	case step.Withdraw:
		o.check.Sharing.Zone.Withdraw(t.key, now)
	}
	if !step.Probe {
		return time.Duration(max(step.DueMS-now.MonoMS, 1)) * time.Millisecond, true
	}
	return c.probeShared(ctx, o, time.Duration(step.LimitMS)*time.Millisecond)
}

// probeShared probes a server and tells the other nodes.
func (c *Checks) probeShared(ctx context.Context, o *one, limit time.Duration) (pause time.Duration, again bool) {
	began := c.clock.Now().MonoMS
	within, cancel := ctx, context.CancelFunc(func() {})
	if limit > 0 {
		within, cancel = context.WithTimeout(ctx, limit)
	}
	step, err := c.probe(within, o)
	cancel()
	if ctx.Err() != nil {
		return 0, false
	}
	o.Server.Stats.CountCheck(err == nil)
	pause = o.pause()
	now := c.clock.Now()
	t := o.turn
	t.mu.Lock()
	t.turn.End(err == nil, now.MonoMS-began, pause.Milliseconds(), now.MonoMS)
	current := t.turn.Current()
	t.reason = ""
	if err != nil {
		t.reason = step + ": " + err.Error()
	}
	t.mu.Unlock()
	if h := healthOf(current); current != turns.Unknown {
		if h == upstream.Unhealthy && err == nil { // it has passed, but not often enough
			err = errNotYet
		}
		c.become(o, h, func() { o.tell(h, step, err) })
	}
	c.say(o, pause.Milliseconds(), now.MonoMS)
	return pause, true
}
