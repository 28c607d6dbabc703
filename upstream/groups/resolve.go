package groups

import (
	"context"
	"fmt"
	"net/netip"

	"starling/lib/resolver"
	"starling/upstream"
)

// Resolve returns the group for a target with variables, for one request or session: that of the configuration,
// otherwise a new one with the host's addresses from DNS. names is nil without a resolver. The error is for the log.
func (r *List[C]) Resolve(c C, t *Target, names *resolver.Resolver) (*Group[C], error) {
	if g := r.Find(t); g != nil {
		return g, nil
	}
	if t.Port == 0 && !t.Unix {
		return nil, &TargetError{"no port", t.Host}
	}
	addresses, err := t.lookUp(c.Context(), names)
	if err != nil {
		return nil, err
	}
	return made[C](t, addresses, c.Now())
}

// lookUp returns the addresses of a target at run time.
func (t *Target) lookUp(ctx context.Context, names *resolver.Resolver) ([]upstream.Address, error) {
	if literal, ok := t.Literal(); ok {
		return []upstream.Address{literal}, nil
	}
	if names == nil {
		return nil, fmt.Errorf("no resolver defined to resolve %s", t.Host)
	}
	found, _, err := names.Lookup(ctx, t.Host)
	if err != nil {
		return nil, err
	}
	addresses := make([]upstream.Address, 0, len(found))
	for _, ip := range found {
		addresses = append(addresses, upstream.TCP(netip.AddrPortFrom(ip, t.Port)))
	}
	return addresses, nil
}
