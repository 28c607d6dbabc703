package resolver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// ask puts one question to the servers in turn until one answers usefully. name and service are for the error.
func (r *Resolver) ask(ctx context.Context, name, service, question string, kind uint16) (*dns.Msg, error) {
	r.mu.Lock()
	first := r.next
	r.next = (r.next + 1) % len(r.config.Servers)
	r.mu.Unlock()
	failure := &Error{Name: name, Service: service, Code: TimedOut}
	for try := 0; ctx.Err() == nil; try++ {
		if try >= len(r.config.Servers) && failure.Code != TimedOut {
			return nil, failure // every server has said no
		}
		server := r.config.Servers[(first+try)%len(r.config.Servers)]
		reply, err := r.exchange(ctx, server, question, kind)
		if err != nil {
			if failure.Cause == nil || !isTimeout(err) { // silence, be it cut short by the end, tells less than what was said before
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

// retryRefused keeps a resolver whose servers refuse at once from spinning until the timeout.
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

// exchange asks one server over UDP, and over TCP when the answer did not fit.
func (r *Resolver) exchange(ctx context.Context, server, question string, kind uint16) (*dns.Msg, error) {
	query := new(dns.Msg)
	query.SetQuestion(question, kind)
	for _, network := range []string{"udp", "tcp"} {
		tryCtx, cancel := context.WithTimeout(ctx, perTry)
		client := dns.Client{Net: network, Timeout: perTry}
		reply, _, err := client.ExchangeContext(tryCtx, query, server)
		cancel()
		switch {
		case err != nil:
			return nil, err
		case !answers(query, reply):
			return nil, errors.New("the answer does not belong to the question")
		case !reply.Truncated || network == "tcp":
			return reply, nil
		}
	}
	panic("resolver: unreachable")
}

// answers checks what the client library does not: that the reply repeats the question.
func answers(query, reply *dns.Msg) bool {
	return reply.Id == query.Id && reply.Response && len(reply.Question) == 1 &&
		strings.EqualFold(reply.Question[0].Name, query.Question[0].Name) &&
		reply.Question[0].Qtype == query.Question[0].Qtype && reply.Question[0].Qclass == dns.ClassINET
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
