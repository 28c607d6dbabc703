package carrier

import (
	"time"

	"starling/lib/clock"
	"starling/lib/plural"
	"starling/logs"
)

// fenceIdleUS is how often a node without strict limits of connections looks for some: a reload makes it look at once.
const fenceIdleUS = idleUS

// fence ends the connections of strict zones whose node has lost its lease. It has a goroutine of its own, because the
// others count on the time that it takes (strict.FenceUS), and the runner waits for a disk now and then.
func (r *strictRunner) fence() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-r.fenceWake:
		case <-r.carrier.ctx.Done():
			r.endConns(true)
			return
		}
		dueUS := r.endConns(false)
		timer.Reset(time.Duration(max(dueUS-clock.SteadyUS(), 0)) * time.Microsecond)
	}
}

// endConns ends what must be ended, or all because this node is shutting down, and returns when to look again.
func (r *strictRunner) endConns(all bool) (dueUS int64) {
	nowUS := clock.SteadyUS()
	dueUS = nowUS + fenceIdleUS
	config := r.carrier.config.Load().Strict
	if config == nil {
		return dueUS
	}
	why := "this node has not reached the majority of the members in time"
	if all {
		why = "this node is shutting down"
	}
	for _, gate := range config.Gates {
		if !gate.Conns() {
			continue
		}
		var ends []func()
		if all {
			ends = gate.EndAll()
		} else {
			var gateDueUS int64
			gateDueUS, ends = gate.Fence(nowUS)
			dueUS = min(dueUS, gateDueUS)
		}
		for _, end := range ends {
			end()
		}
		if len(ends) > 0 {
			r.carrier.logf(logs.Warn, "strict limits: %v: %s: ended %s, whose places are left to the others", gate, why,
				plural.Of(len(ends), "connection", "connections"))
		}
	}
	return dueUS
}

// pokeFence makes the fence look at once.
func (r *strictRunner) pokeFence() {
	select {
	case r.fenceWake <- struct{}{}:
	default:
	}
}
