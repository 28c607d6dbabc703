package resolver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// ask sends one question to the servers in turn until one gives a useful answer. name and service are for the error.
func (r *Resolver) ask(ctx context.Context, name, service, question string, kind uint16) (*dns.Msg, error) {
	r.mu.Lock()
	first := r.next
	r.next = (r.next + 1) % len(r.config.Servers)
	r.mu.Unlock()
	failure := &Error{Name: name, Service: service, Code: TimedOut}
	for try := 0; ctx.Err() == nil; try++ {
		if try >= len(r.config.Servers) && failure.Code != TimedOut {
			return nil, failure // every server answered that there is none
		}
		server := r.config.Servers[(first+try)%len(r.config.Servers)]
		reply, err := r.query(ctx, server, question, kind)
		if err != nil {
			if failure.Cause == nil ||
				!isTimeout(err) { // silence, even when cut short by the deadline, tells less than an answer
				failure.Cause = fmt.Errorf("name server %s: %w", server, err)
			}
			if !isTimeout(err) && !pause(ctx, retryRefused) {
				break
			}
			continue
		}
		r.Counters.count(reply.Rcode)
		switch reply.Rcode {
		case dns.RcodeSuccess:
			return reply, nil
		case dns.RcodeNameError:
			return nil, &Error{Name: name, Service: service, Code: NotFound}
		}
		failure.Code, failure.Cause = Code(reply.Rcode), nil
	}
	if failure.Code == TimedOut {
		r.Counters.responses[responseTimedOut].Add(1)
	}
	return nil, failure
}

// retryRefused keeps a resolver whose servers reject immediately from spinning until the timeout.
const retryRefused = 200 * time.Millisecond

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
