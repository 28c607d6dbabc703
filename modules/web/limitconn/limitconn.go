package limitconn

import (
	"starling/conf"
	"starling/lib/conncount"
	"starling/lib/longkey"
	"starling/modules/shared/limitconn"
	"starling/web"
)

// The outcomes, as Slot.Number of a request; 0 is none.
const (
	passed int64 = 1 + iota
	rejected
	rejectedDryRun
)

var outcomes = [...]string{passed: "PASSED", rejected: "REJECTED", rejectedDryRun: "REJECTED_DRY_RUN"}

// limiter applies the limits of one block.
type limiter struct {
	limits   []limitconn.Bound[*web.Request]
	settings *Settings
	slot     int
}

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if len(s.Limits) == 0 {
		return nil, nil
	}
	l := &limiter{
		settings: s,
		slot:     limitconn.Slot[*web.Request](b.Plan),
		limits:   limitconn.Bind[*web.Request](s.Limits),
	}
	return l.handle, nil
}

// appendStatus is $limit_conn_status.
func appendStatus(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	outcome := r.Slot(limitconn.Slot[*web.Request](r.Plan())).Number
	if outcome == 0 {
		return dst, false
	}
	return append(dst, outcomes[outcome]...), true
}

// held are the limits that a request has entered so far; it leaves them if a later limit rejects it.
type held struct {
	zone   *limitconn.Counter
	ticket limitconn.Ticket
	strict *limitconn.Strict // instead of a ticket
}

func (h *held) leave() {
	if h.strict != nil {
		h.strict.Leave()
		return
	}
	h.zone.Leave(h.ticket)
}

// handle counts the request in every zone until the last piece of its response is sent, or rejects it and counts it in
// none. So a client that has its response can send the next request at once. As in nginx, a request that goes on after
// that (mirror, an update of the cache, post_action) counts to its end.
func (l *limiter) handle(r *web.Request) web.Result {
	outcome := r.Slot(l.slot)
	if outcome.Number != 0 {
		return web.Declined // once per request, even after an internal redirect
	}
	var few [4]held
	entered := few[:0]
	for i := range l.limits {
		limit := &l.limits[i]
		key := r.Expand(&limit.Key)
		if len(key) == 0 {
			continue
		}
		key = longkey.Fit(key, conncount.MaxKeyBytes) // nginx accepts a key that is too long
		outcome.Number = passed
		in, why := held{zone: limit.Counter}, ""
		var verdict conncount.Verdict
		if limit.IsStrict() {
			in.strict, verdict, why = limit.EnterStrict(key, limit.Most, r.Enclose().Fall)
		} else {
			in.ticket, verdict = limit.Enter(key, limit.Most)
		}
		if verdict == conncount.Entered {
			entered = append(entered, in)
			continue
		}
		for i := range entered {
			entered[i].leave()
		}
		return l.reject(r, outcome, limit, verdict, why)
	}
	for _, h := range entered {
		h.zone.Counts.Passed.Add(1)
		if h.strict != nil {
			r.WhenDone(leaveStrict, h.strict, 0)
		} else {
			r.WhenDone(leave, h.zone, uint64(h.ticket))
		}
	}
	return web.Declined
}

func leave(zone any, ticket uint64) { zone.(*limitconn.Counter).Leave(limitconn.Ticket(ticket)) }

func leaveStrict(in any, _ uint64) { in.(*limitconn.Strict).Leave() }

// reject answers a request that exceeds a limit or finds the zone full; nginx does not log the latter.
func (l *limiter) reject(
	r *web.Request,
	outcome *web.Slot,
	limit *limitconn.Bound[*web.Request],
	verdict conncount.Verdict,
	why string,
) web.Result {
	if verdict == conncount.Rejected {
		dryRun := ""
		if l.settings.DryRun {
			dryRun = ", dry run,"
		}
		if why != "" {
			r.Logf(l.settings.LogLevel, "limiting connections%s by strict zone \"%s\": %s", dryRun, limit.Name, why)
		} else {
			r.Logf(l.settings.LogLevel, "limiting connections%s by zone \"%s\"", dryRun, limit.Name)
		}
	}
	if l.settings.DryRun {
		outcome.Number = rejectedDryRun
		limit.Counts.RejectedDryRun.Add(1)
		return web.Declined
	}
	outcome.Number = rejected
	limit.Counts.Rejected.Add(1)
	return web.Result(l.settings.Status)
}
