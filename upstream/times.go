package upstream

import (
	"starling/lib/clock"
)

// Timing is the point of an attempt that least_time measures.
type Timing uint8

// The points, in their order.
const (
	ByConnect Timing = iota
	ByFirstByte
	ByLastByte
)

// The constants of least_time, as in nginx.
const (
	// slowestMS is the time from which all servers are equally bad, and only their connections count.
	slowestMS = 5000
	// clusterMS is the difference below which times count as equal.
	clusterMS = 20
)

// inflight accounts for attempts that have not reached the measured point, so that a server is known to be slow before
// it has responded. It is guarded by the group's lock.
type inflight struct {
	attempts  int
	spentMS   int64 // by all of them, until changedMS
	changedMS int64
	averageMS int64
}

// Expected estimates the time of one more attempt on a server, in milliseconds times attempts
// (ngx_http_upstream_least_time_eta). It is for balancers, under the group's lock.
func (s *Server) Expected(a *Attempt, by Timing) int64 {
	var ms int64
	switch by {
	case ByConnect:
		ms = s.Stats.connect.microseconds.Load() / 1000
	case ByFirstByte:
		ms = s.Stats.header.microseconds.Load() / 1000
	default:
		ms = s.Stats.response.microseconds.Load() / 1000
	}
	// Each fail_timeout without a selection halves the time, so that a slow server gets another chance.
	quiet, patience := a.nowMS/1000-s.checkedMS/1000, int64(s.settings.FailTimeout.Seconds())
	if quiet > patience {
		ms >>= min(quiet/(patience+1), 62)
	}
	if s.inflight.attempts > 0 {
		ms = max(ms, s.inflight.averageMS)
	}
	if ms > slowestMS {
		ms = slowestMS
	} else {
		ms += clusterMS - ms%clusterMS
	}
	return ms * int64(1+s.active)
}

// LookInflight updates the average time of the server's attempts so far, for Expected.
func (s *Server) LookInflight(a *Attempt) {
	f := &s.inflight
	if f.attempts == 0 {
		return
	}
	ms := f.spentMS/int64(f.attempts) + a.nowMS - f.changedMS
	if f.averageMS == 0 {
		f.averageMS = ms
	} else {
		f.averageMS = (f.averageMS*(meterWindow-1) + ms + meterWindow/2) / meterWindow
	}
}

// CountInflight counts the attempt as one that has not reached a point, from now on.
func (a *Attempt) CountInflight(s *Server, until Timing) {
	f := &s.inflight
	if f.attempts > 0 {
		f.spentMS += (a.nowMS - f.changedMS) * int64(f.attempts)
	}
	f.changedMS = a.nowMS
	f.attempts++
	a.inflight, a.until, a.pickedMS = true, until, a.nowMS
}

// Reached reports that the current attempt has reached a point; it is called for those before the last byte, which Free
// reports.
func (a *Attempt) Reached(moment Timing, now clock.Reading) {
	if !a.inflight || moment != a.until {
		return
	}
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	a.endInflight(now.MonoMS)
}

// endInflight removes the attempt from the count; under the lock.
func (a *Attempt) endInflight(nowMS int64) {
	if !a.inflight || a.current == nil {
		return
	}
	a.inflight = false
	f := &a.current.inflight
	if f.attempts == 1 {
		f.spentMS = 0
	} else {
		f.spentMS += (nowMS-f.changedMS)*int64(f.attempts) - (nowMS - a.pickedMS)
		f.changedMS = nowMS
	}
	f.attempts--
}
