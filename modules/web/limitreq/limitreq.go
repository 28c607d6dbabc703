package limitreq

import (
	"time"

	"starling/conf"
	"starling/lib/clock"
	"starling/lib/longkey"
	"starling/logs"
	"starling/plan"
	"starling/web"
	"starling/zone"
	"starling/zone/kinds"
)

// The outcomes, as Slot.Number of a request; 0 is none.
const (
	passed int64 = 1 + iota
	delayed
	rejected
	delayedDryRun
	rejectedDryRun
)

var outcomes = [...]string{passed: "PASSED", delayed: "DELAYED", rejected: "REJECTED",
	delayedDryRun: "DELAYED_DRY_RUN", rejectedDryRun: "REJECTED_DRY_RUN"}

// limiter applies the limits of one block.
type limiter struct {
	limits   []boundLimit
	settings *Settings
	slot     int
	strict   bool // one of the limits, at least
}

type boundLimit struct {
	*Zone
	burstMilli, delayMilli int64
}

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if len(s.Limits) == 0 {
		return nil, nil
	}
	l := &limiter{settings: s, slot: partOf(b.Plan).slot}
	for _, limit := range s.Limits {
		bound := boundLimit{limit.zone.Value.(*Zone), limit.burstMilli, limit.delayMilli}
		l.limits, l.strict = append(l.limits, bound), l.strict || bound.strict
	}
	if l.strict && len(l.limits) > strictLimitsMost {
		return nil, conf.At(b.Scope.Node, "a block with a strict limit can have at most %d limits", strictLimitsMost)
	}
	return l.handle, nil
}

// appendStatus is $limit_req_status.
func appendStatus(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	outcome := r.Slot(plan.Part[part](r.Plan()).slot).Number
	if outcome == 0 {
		return dst, false
	}
	return append(dst, outcomes[outcome]...), true
}

// handle is ngx_http_limit_req_handler: it checks the limits in order, the last one accounts immediately, and if all
// limits admit the request, the earlier ones are charged too. A rejected request is charged nowhere.
func (l *limiter) handle(r *web.Request) web.Result {
	outcome := r.Slot(l.slot)
	if outcome.Number != 0 {
		return web.Declined // once per request, even after an internal redirect
	}
	if l.strict {
		return l.handleStrict(r, outcome)
	}
	now := r.Now()
	var excess int64
	applied, last := false, -1
	for i := range l.limits {
		limit := &l.limits[i]
		key, ok := limit.keyOf(r, zone.MaxKeyBytes)
		if !ok {
			continue
		}
		final := i == len(l.limits)-1
		var verdict kinds.Verdict
		if final {
			excess, verdict = limit.Account(key, now, limit.burstMilli)
		} else {
			excess, verdict = limit.Look(key, now, limit.burstMilli)
		}
		applied = true
		if verdict != kinds.Passed {
			return l.reject(r, outcome, limit, excess, verdict, now)
		}
		if final {
			last = i
		}
	}
	if !applied {
		return web.Declined
	}
	return l.admit(r, outcome, now, excess, last, 0)
}

// keyOf evaluates the key; ok is false for one that does not count. A key that is too long counts by its hash;
// otherwise its sender would be without limit, as in nginx.
func (z *Zone) keyOf(r *web.Request, bytesMost int) (key []byte, ok bool) {
	key = longkey.Fit(r.Expand(&z.key), bytesMost)
	return key, len(key) > 0
}

// logNoRoom reports a zone without room for another key. Each request with a new key would repeat the line.
func (z *Zone) logNoRoom(r *web.Request, now clock.Reading) {
	if note, write := z.noRoom.Next(now.MonoMS); write {
		r.Logf(logs.Alert, "could not allocate node in limit_req zone \"%s\"%s", z.name, note)
	}
}

func (l *limiter) reject(
	r *web.Request,
	outcome *web.Slot,
	limit *boundLimit,
	excess int64,
	verdict kinds.Verdict,
	now clock.Reading,
) web.Result {
	if verdict == kinds.NoRoom {
		limit.logNoRoom(r, now)
	} else {
		r.Logf(l.settings.LogLevel, "limiting requests%s, excess: %d.%03d by zone \"%s\"",
			l.dryRun(), excess/1000, excess%1000, limit.name)
	}
	return l.countRejected(outcome, limit)
}

// countRejected counts a rejected request, and answers it.
func (l *limiter) countRejected(outcome *web.Slot, limit *boundLimit) web.Result {
	if l.settings.DryRun {
		outcome.Number = rejectedDryRun
		limit.counts.rejectedDryRun.Add(1)
		return web.Declined
	}
	outcome.Number = rejected
	limit.counts.rejected.Add(1)
	return web.Result(l.settings.Status)
}

func (l *limiter) dryRun() string {
	if l.settings.DryRun {
		return ", dry run"
	}
	return ""
}

// admit charges the limits that were only checked, and waits for the longest of the delays. last is the limit that
// already accounted, with that excess, or -1; strict limits have decided, and are charged: the bits of decided.
func (l *limiter) admit(
	r *web.Request,
	outcome *web.Slot,
	now clock.Reading,
	excess int64,
	last int,
	decided uint64,
) web.Result {
	var delay int64
	slowest := -1
	if last >= 0 {
		delay, slowest = l.limits[last].delayMS(excess), last
	}
	// nginx charges from the last to the first and keeps the first of equal delays.
	for i := len(l.limits) - 1; i >= 0; i-- {
		if i == last || decided&(1<<i) != 0 {
			continue
		}
		limit := &l.limits[i]
		key, ok := limit.keyOf(r, zone.MaxKeyBytes)
		if !ok {
			continue
		}
		charged, verdict := limit.Charge(key, now)
		if verdict != kinds.Passed {
			limit.logNoRoom(r, now)
			continue
		}
		if ms := limit.delayMS(charged); ms > delay {
			delay, excess, slowest = ms, charged, i
		}
	}
	if delay == 0 {
		outcome.Number = passed
		l.count(r, -1)
		return web.Declined
	}
	r.Logf(l.settings.delayLevel(), "delaying request%s, excess: %d.%03d, by zone \"%s\"", l.dryRun(), excess/1000,
		excess%1000, l.limits[slowest].name)
	l.count(r, slowest)
	if l.settings.DryRun {
		outcome.Number = delayedDryRun
		return web.Declined
	}
	outcome.Number = delayed
	if !r.Delay(time.Duration(delay) * time.Millisecond) {
		return web.Result(statusClientClosed)
	}
	return web.Declined
}

// statusClientClosed is nginx's status for a client that disconnected before the answer.
const statusClientClosed = 499

// delayMS is how long a request with that excess waits.
func (l *boundLimit) delayMS(excess int64) int64 {
	if excess <= l.delayMilli {
		return 0
	}
	return (excess - l.delayMilli) * 1000 / max(l.rate, 1)
}

// count adds a request to the figures of the limits that it passed; the one that delays it, if any, counts it as
// delayed.
func (l *limiter) count(r *web.Request, delayedBy int) {
	for i := range l.limits {
		limit := &l.limits[i]
		switch {
		case i != delayedBy:
			limit.counts.passed.Add(1)
		case l.settings.DryRun:
			limit.counts.delayedDryRun.Add(1)
		default:
			limit.counts.delayed.Add(1)
		}
	}
}
