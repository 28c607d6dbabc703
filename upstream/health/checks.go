// Package health runs the active health checks of a configuration, for both of its sides: when each server is checked,
// what the results mean, and what the log says. A Prober makes the checks themselves.
//
// One goroutine holds all checks in a heap by the time when they are due. It makes most of them itself (Starter).
// Goroutines exist only for the others in progress.
package health

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"starling/lib/clock"
	"starling/logs"
	"starling/plan"
	"starling/upstream"
)

// Checks are the health checks of one configuration.
type Checks struct {
	clock    *clock.Clock
	log      logs.Logger
	groups   []*group
	schedule schedule
}

// group is a group of servers with its checks.
type group struct {
	*upstream.Group
	all    *Checks
	checks []*Check
	// before is the same group in the previous configuration, nil if there is none; known is the health of its servers,
	// while this configuration starts.
	before *upstream.Group
	known  atomic.Pointer[map[upstream.Identity]upstream.Health]
}

// Of returns the checks of a configuration.
func Of(p *plan.Plan) *Checks {
	c := plan.Part[Checks](p)
	if c.clock == nil {
		c.clock, c.log = p.Clock, p.Log
		p.OnStart(func(ctx context.Context) error {
			c.start(ctx)
			return nil
		})
	}
	return c
}

// Add adds a check of the servers of a group, while the configuration is built. before is the group of the same name in
// the previous configuration, or nil.
func (c *Checks) Add(g, before *upstream.Group, check *Check) {
	for _, known := range c.groups {
		if known.Group == g {
			known.checks = append(known.checks, check)
			return
		}
	}
	c.groups = append(c.groups, &group{Group: g, all: c, before: before, checks: []*Check{check}})
}

// start starts the checks. They end with ctx.
func (c *Checks) start(ctx context.Context) {
	c.schedule.init(c)
	c.present(ctx)
	for _, g := range c.groups {
		if g.before != nil {
			known := g.before.Healths()
			g.known.Store(&known)
		}
		g.Watch(g, c.clock.Now())
		g.before = nil
		g.known.Store(nil) // what joins later is new, whatever it is called
	}
	go c.schedule.serve(ctx)
	go c.compare(ctx)
}

// watched is one server of a group.
type watched struct {
	server *upstream.Server
	group  *group

	mu     sync.Mutex
	health []upstream.Health // by check

	shared []*one // its checks for which the nodes of the cluster take turns
}

// Joined makes a group an upstream.Monitor.
func (g *group) Joined(s *upstream.Server) (watch any, h upstream.Health) {
	var before upstream.Health
	known := false
	if all := g.known.Load(); all != nil {
		before, known = (*all)[s.Identity()]
	}
	w := &watched{server: s, group: g, health: make([]upstream.Health, len(g.checks))}
	all := make([]one, len(g.checks))
	for i, check := range g.checks {
		w.health[i] = check.first(before, known)
		all[i] = one{
			Target: Target{Server: s, Addr: s.Addr.WithPort(check.Port)}, check: check, watched: w, number: i,
			due: time.Now().Add(randomly(check.Jitter)), index: notWaiting,
		}
		g.all.takeTurns(&all[i])
	}
	h = w.worst()
	for _, o := range w.shared {
		o.check.Sharing.join(o)
	}
	if !g.all.schedule.add(all) {
		for _, o := range w.shared {
			o.check.Sharing.leave(o)
		}
	}
	return w, h
}

// randomly returns a random duration below most, or 0.
func randomly(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return rand.N(most)
}

// worst is the health of the server: that of its worst check.
func (w *watched) worst() (h upstream.Health) {
	for _, one := range w.health {
		h = max(h, one)
	}
	return h
}

// begin starts a check that needs no goroutine; false if it needs one.
func (c *Checks) begin(o *one) bool {
	starter, ok := o.check.Prober.(Starter)
	if !ok || o.turn != nil {
		return false
	}
	if checkable, gone := o.Server.Checkable(o.watched); gone || !checkable {
		return false
	}
	if _, err := c.guarded(o, func() (string, error) {
		o.eager = starter.Start(&o.Target)
		return "", nil
	}); err != nil {
		return false // Probe panics too, or makes the check
	}
	return o.eager != nil
}

// look looks whether the server has answered. done means that the check has ended; then it returns what run does.
func (c *Checks) look(o *one) (done bool, pause time.Duration) {
	step, err := c.guarded(o, func() (step string, err error) {
		done, step, err = o.eager.Look()
		return step, err
	})
	if !done && err == nil {
		return false, 0
	}
	if !done { // it has panicked
		o.eager.Drop()
	}
	o.eager = nil
	c.settle(o, step, err)
	return true, o.pause()
}

// run makes one check. It returns the pause until the next, or that there is none.
func (c *Checks) run(ctx context.Context, o *one) (pause time.Duration, again bool) {
	if eager := o.eager; eager != nil {
		o.eager = nil
		step, err := c.guarded(o, func() (string, error) { return eager.Wait(ctx) })
		if ctx.Err() != nil {
			return 0, false
		}
		c.settle(o, step, err)
		return o.pause(), true
	}
	checkable, gone := o.Server.Checkable(o.watched)
	if gone {
		return 0, false
	}
	if checkable && o.turn != nil {
		return c.runShared(ctx, o)
	}
	if checkable {
		step, err := c.probe(ctx, o)
		if ctx.Err() != nil {
			return 0, false
		}
		c.settle(o, step, err)
	}
	return o.pause(), true
}

// pause is the time until the next check.
func (o *one) pause() time.Duration {
	pause := o.check.Interval + randomly(o.check.Jitter)
	if !o.started {
		// The first checks of all servers begin together, the others are spread over the interval.
		o.started, pause = true, randomly(pause)+time.Millisecond
	}
	return pause
}

// probe calls the prober.
func (c *Checks) probe(ctx context.Context, o *one) (step string, err error) {
	return c.guarded(o, func() (string, error) { return o.check.Prober.Probe(ctx, &o.Target) })
}

// guarded calls a prober. A fault of this program must not end it, so a panic is a failed check.
func (c *Checks) guarded(o *one, f func() (string, error)) (step string, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			c.log.Logf(logs.Alert, "panic while checking peer %s in upstream \"%s\": %v %s",
				o.Server.Addr.Text, o.watched.group.Name, reason, debug.Stack())
			step, err = "checking peer", fmt.Errorf("panic: %v", reason)
		}
	}()
	return f()
}

// settle counts the result of a check and changes the health of its server.
func (c *Checks) settle(o *one, step string, err error) {
	o.Server.Stats.CountCheck(err == nil)
	if h, decided := o.judge(err == nil); decided {
		c.become(o, h, func() { o.tell(h, step, err) })
	}
}

// become changes the health of a server. tell is called afterwards if it was another: whoever reads the line finds the
// server in this state.
func (c *Checks) become(o *one, h upstream.Health, tell func()) {
	w := o.watched
	w.mu.Lock()
	defer w.mu.Unlock() // held while the server changes: its checks end in any order
	if w.health[o.number] == h {
		return
	}
	w.health[o.number] = h
	o.Server.SetHealth(w, w.worst(), c.clock.Now())
	tell()
}

// tell logs that the health of a server has changed, in the words of NGINX Plus, and adds the reason.
func (o *one) tell(h upstream.Health, step string, err error) {
	level, is, reason := logs.Notice, "healthy", ""
	if h == upstream.Unhealthy {
		level, is, reason = logs.Warn, "unhealthy", ": "+err.Error()
	}
	port := ""
	if o.check.Port != 0 {
		port = ", port " + strconv.Itoa(int(o.check.Port))
	}
	o.check.Log.Logf(level, "peer is %s while %s, health check \"%s\" of peer %s in upstream \"%s\"%s%s",
		is, step, o.check.Match, o.Server.Addr.Text, o.watched.group.Name, port, reason)
}
