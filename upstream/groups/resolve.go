package groups

import (
	"context"
	"fmt"
	"net/netip"

	"starling/lib/resolver"
	"starling/upstream"
)

// Resolve gives the group that a target with variables means for one request or session: that of the configuration, or
// else one of its own, of the addresses that the DNS has for its host. names is nil without a resolver. What the error
// says is for the log.
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

// lookUp gives the addresses of a target at run time.
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
