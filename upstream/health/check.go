package health

import (
	"context"
	"time"

	"starling/logs"
	"starling/upstream"
)

// Check is one health_check directive.
type Check struct {
	// Match is the name of the match block, for the log; empty without one.
	Match string
	// Interval is the time between the end of a check and the start of the next, Jitter the largest random addition.
	Interval, Jitter time.Duration
	// Fails and Passes are the numbers of consecutive checks that change the health of a server.
	Fails, Passes int
	// Mandatory servers get no clients before they pass. Persistent ones that were healthy before a reload do.
	Mandatory, Persistent bool
	// Port replaces that of the servers; 0: it does not.
	Port uint16
	// Log is the error log of the location or server.
	Log    logs.Logger
	Prober Prober
	// Sharing is set if the nodes of the cluster take turns (`sync`).
	Sharing *Sharing
}

// Prober makes the checks of one directive. It is called from several goroutines, but for one Target only from one at a
// time.
type Prober interface {
	// Probe checks a server once. It returns the last step that it took ("checking status code"), and the reason of a
	// failure. It must end soon after ctx, and bound its time and its memory itself.
	Probe(ctx context.Context, t *Target) (step string, err error)
	// Forget releases t.Kept when the server is not checked any more.
	Forget(t *Target)
}

// Starter is a Prober of which most checks need no goroutine. Start, and Look of what it returns, are called from one
// goroutine for all checks of a configuration.
type Starter interface {
	// Start starts a check without waiting. It returns nil if Probe must make the check.
	Start(t *Target) Started
}

// Started is a check in progress. It ends with the last Look, Wait or Drop.
type Started interface {
	// Look goes on with the check without waiting. If that ends it, done is true and the rest is as of Prober.Probe.
	Look() (done bool, step string, err error)
	// Wait goes on with the check as Prober.Probe does.
	Wait(ctx context.Context) (step string, err error)
	// Drop gives it up.
	Drop()
}

// Target is one server as one Check sees it.
type Target struct {
	Server *upstream.Server
	// Addr is where to connect to: the address of the server, or one with the port of the Check.
	Addr upstream.Address
	// Kept is the Prober's own: a connection that the next check uses again.
	Kept any
}

// one is one check of one server.
type one struct {
	Target
	check   *Check
	watched *watched

	// Of the goroutine that runs it; watched.verdicts has the result.
	passes, fails int // consecutive ones; one of them is 0
	number        int // among the checks of the server
	started       bool

	// Of the scheduler, under its lock.
	due   time.Time
	index int       // in the heap, or notWaiting
	ran   time.Time // when it last ended
	again bool      // it is due again as soon as it has ended

	// Of the goroutine that serves the schedule, until it dispatches the check.
	eager  Started // nil unless a check is in progress that needed no goroutine so far
	looks  int     // so many times it looked whether the server has answered
	lookAt time.Time

	turn *turn // nil unless the nodes of the cluster take turns
}

// forget ends the check: its server has left, or the configuration has.
func (o *one) forget() {
	if o.eager != nil {
		o.eager.Drop()
		o.eager = nil
	}
	o.check.Prober.Forget(&o.Target)
	if o.turn != nil {
		o.check.Sharing.leave(o)
	}
}

// judge counts a result, and returns the health that follows from it; decided is false if that stays as it was.
func (o *one) judge(ok bool) (h upstream.Health, decided bool) {
	if ok {
		o.passes, o.fails = o.passes+1, 0
		return upstream.Healthy, o.passes >= o.check.Passes
	}
	o.passes, o.fails = 0, o.fails+1
	return upstream.Unhealthy, o.fails >= o.check.Fails
}

// first is the health with which a check of a server starts. before is that of the server in the previous
// configuration, if it was known there.
func (c *Check) first(before upstream.Health, known bool) upstream.Health {
	switch {
	case c.Mandatory && !c.Persistent:
		return upstream.Checking
	case known && before == upstream.Unhealthy:
		return upstream.Unhealthy // clients would only find out again
	case c.Mandatory && (!known || before != upstream.Healthy):
		return upstream.Checking
	}
	return upstream.Healthy
}
