package web

import "starling/plan"

// starts is what families have prepared before another goroutine serves a subrequest.
type starts struct{ prepare []func(client *Request) }

// BeforeStart has prepare called with the client's request before a subrequest is started in parallel to it. Such a
// subrequest (Beside) may read of the client's request only what was prepared: the rest changes meanwhile.
func BeforeStart(p *plan.Plan, prepare func(client *Request)) {
	s := plan.Part[starts](p)
	s.prepare = append(s.prepare, prepare)
}

// prepareStart prepares the client's request. If r itself is Beside, that was done when the outer one was started.
func (r *Request) prepareStart() {
	all := plan.Find[starts](r.Plan())
	if all == nil || r.Beside() {
		return
	}
	client := r.Outermost()
	for _, prepare := range all.prepare {
		prepare(client)
	}
}

// Beside reports whether another goroutine than the client's request's serves the request.
func (r *Request) Beside() bool {
	for ; r.parent != nil; r = r.parent {
		if r.sub.done != nil {
			return true
		}
	}
	return false
}
