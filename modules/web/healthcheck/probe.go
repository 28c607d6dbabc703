package healthcheck

import (
	"context"
	"fmt"
	"time"

	"starling/upstream/health"
	"starling/web/forward"
)

// prober makes the checks of one directive.
type prober struct {
	forwards *forward.Prober
	uri      []byte
	keepFor  time.Duration
	tests    *match    // nil: the status decides
	grpc     *grpcTest // nil: a GET request
}

// Probe sends a request.
func (p *prober) Probe(ctx context.Context, t *health.Target) (step string, err error) {
	q := forward.Probe{URI: p.uri, Server: t.Server, Addr: t.Addr, KeepFor: p.keepFor, Judge: p.judge}
	if p.grpc != nil {
		p.grpc.fill(&q)
	}
	if p.keepFor > 0 {
		q.Kept, _ = t.Kept.(*forward.KeptProbe)
	}
	step, err = p.forwards.Do(ctx, &q)
	if p.keepFor > 0 {
		t.Kept = q.Kept
	}
	return step, err
}

// Start sends a request if nothing makes it wait; otherwise it returns nil.
func (p *prober) Start(t *health.Target) health.Started {
	if p.grpc != nil || p.keepFor > 0 {
		return nil
	}
	e, known := t.Kept.(*forward.EagerProbe)
	if !known {
		e = p.forwards.Eager(forward.Probe{URI: p.uri, Server: t.Server, Addr: t.Addr, Judge: p.judge})
		t.Kept = e
	}
	if e == nil || !e.Start() {
		return nil
	}
	return e
}

// Forget closes the kept connection.
func (p *prober) Forget(t *health.Target) {
	kept, _ := t.Kept.(*forward.KeptProbe)
	kept.Forget()
	t.Kept = nil
}

// byDefault are the statuses that pass without a match block.
var byDefault = statusTest{ranges: []statusRange{{200, 399}}}

const stepStatus = "checking status code"

func (p *prober) judge(a *forward.Reply) (step string, err error) {
	if p.tests != nil {
		return p.tests.judge(a)
	}
	return stepStatus, byDefault.check(a.Head.Status)
}

// check returns why a status fails.
func (t *statusTest) check(status int) error {
	in := false
	for _, r := range t.ranges {
		in = in || r.least <= status && status <= r.most
	}
	if in == t.not {
		return fmt.Errorf("status %d", status)
	}
	return nil
}
