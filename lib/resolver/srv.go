package resolver

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// SRV is one target of a service with its addresses.
type SRV struct {
	// Target is the host's name without the final dot.
	Target           string
	Port             uint16
	Priority, Weight uint16
	Addrs            []netip.Addr
	// Err is why the target has no addresses; nil if it has some.
	Err error
}

// LookupSRV returns the targets of a service of a name and their addresses. A service without dots is looked up as
// _service._tcp, as in nginx; one with dots or an underscore unchanged. The answer is valid as long as its
// shortest-lived part. The error is of the SRV records only; those of targets are in SRV.Err. A service whose targets
// all fail is an error too.
func (r *Resolver) LookupSRV(
	ctx context.Context,
	service, name string,
) (targets []SRV, valid time.Duration, err error) {
	r.Counters.requests[kindSRV].Add(1)
	asking, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	targets, valid, err = r.targets(asking, service, name)
	if err != nil {
		return nil, 0, err
	}
	lives := r.lookupTargets(asking, targets)
	failed := 0
	for i := range targets {
		if targets[i].Err != nil {
			failed++
			continue
		}
		valid = min(valid, lives[i])
	}
	if failed == len(targets) {
		return targets, 0, targets[0].Err
	}
	return targets, r.validity(valid), nil
}

// targets asks for the records of a service, also at its aliases.
func (r *Resolver) targets(ctx context.Context, service, name string) (targets []SRV, valid time.Duration, err error) {
	valid = time.Duration(1<<31-1) * time.Second
	for at, left := dns.Fqdn(serviceLabel(service)+"."+name), maxAliases; left > 0; left-- {
		reply, err := r.ask(ctx, name, service, at, dns.TypeSRV)
		if err != nil {
			return nil, 0, err
		}
		_, p := alias(reply, at)
		valid = min(valid, p.ttl)
		for _, rr := range reply.Answer {
			if rec, ok := rr.(*dns.SRV); ok && len(targets) < maxTargets {
				targets = append(
					targets,
					SRV{
						Target:   strings.TrimSuffix(rec.Target, "."),
						Port:     rec.Port,
						Priority: rec.Priority,
						Weight:   rec.Weight,
					},
				)
				valid = min(valid, life(rr))
			}
		}
		if len(targets) > 0 {
			return targets, valid, nil
		}
		if p.alias == "" {
			return nil, 0, &Error{Name: name, Service: service, Code: NotFound}
		}
		at = p.alias
	}
	return nil, 0, tooManyAliases(name)
}

// lookupTargets fills in the addresses and returns how long each target's are valid.
func (r *Resolver) lookupTargets(ctx context.Context, targets []SRV) []time.Duration {
	lives := make([]time.Duration, len(targets))
	places := make(chan struct{}, targetsAtOnce)
	var all sync.WaitGroup
	for i := range targets {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			t := &targets[i]
			t.Addrs, lives[i], t.Err = r.lookup(ctx, t.Target)
		})
	}
	all.Wait()
	return lives
}

func serviceLabel(service string) string {
	if strings.ContainsAny(service, ".") {
		return service
	}
	return "_" + strings.TrimPrefix(service, "_") + "._tcp"
}
