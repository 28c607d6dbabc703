// Package resolver asks name servers for addresses and services: A and AAAA together, with a cache that honours the
// records' TTL, with the texts of nginx's resolver.
package resolver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Defaults as in nginx, except for the time before the next server is asked.
const (
	// DefaultTimeout bounds the resolution of a name (resolver_timeout).
	DefaultTimeout = 30 * time.Second
	// perTry bounds the wait for one server before the next one is asked. nginx waits 5 s.
	perTry = 2 * time.Second
	// maxNames bounds the cache: names may come from clients (proxy_pass with variables).
	maxNames = 10000
	// maxAliases bounds a chain of CNAMEs, as in nginx.
	maxAliases = 50
	// maxTargets bounds the targets of one service that are looked up.
	maxTargets = 256
	// targetsAtOnce is how many targets of a service are looked up at the same time.
	targetsAtOnce = 8
)

// Config are the parameters of a resolver directive.
type Config struct {
	// Servers are "host:port" with IP addresses, asked in turn.
	Servers []string
	// ValidOverride replaces the records' own TTL (valid=); 0 honours it.
	ValidOverride time.Duration
	// IPv4 and IPv6 select which addresses to ask for.
	IPv4, IPv6 bool
	// Timeout bounds one lookup; 0 is DefaultTimeout.
	Timeout time.Duration
}

// Code is why a name could not be resolved; the DNS response codes and TimedOut.
type Code int

// The codes that nginx's messages name.
const (
	FormatError   Code = 1
	ServerFailure Code = 2
	NotFound      Code = 3
	Unimplemented Code = 4
	Refused       Code = 5
	TimedOut      Code = 110
)

func (c Code) String() string {
	switch c {
	case FormatError:
		return "Format error"
	case ServerFailure:
		return "Server failure"
	case NotFound:
		return "Host not found"
	case Unimplemented:
		return "Unimplemented"
	case Refused:
		return "Operation refused"
	case TimedOut:
		return "Operation timed out"
	}
	return "Unknown error"
}

// ErrNotFound is matched by errors.Is if the DNS says that a name does not exist or has no such records.
var ErrNotFound = errors.New("host not found")

// Error is the failure to resolve a name.
type Error struct {
	Name string
	// Service is set if SRV records were requested.
	Service string
	Code    Code
	// Cause has details if no DNS server answered at all; may be nil.
	Cause error
}

func (e *Error) Error() string {
	what := e.Name
	if e.Service != "" {
		what = fmt.Sprintf("service %s of %s", e.Service, e.Name)
	}
	text := fmt.Sprintf("%s could not be resolved (%d: %s)", what, int(e.Code), e.Code)
	if e.Cause != nil {
		text += fmt.Sprintf(": %v", e.Cause)
	}
	return text
}

// Is reports NotFound as ErrNotFound.
func (e *Error) Is(target error) bool { return target == ErrNotFound && e.Code == NotFound }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Resolver asks the servers of one resolver directive. It is safe for concurrent use.
type Resolver struct {
	config Config
	// Counters are for the API's resolvers resource.
	Counters Counters

	mu    sync.Mutex
	next  int // server to ask first
	cache map[string]*entry
}

// entry is one name's last answer, or the pending question.
type entry struct {
	addrs   []netip.Addr
	expires time.Time
	asking  *question
}

// question is one lookup that several callers wait for.
type question struct {
	done  chan struct{}
	addrs []netip.Addr
	valid time.Duration
	err   error
}

// New returns a resolver. It is an error to have no server, or one that is not "IP:port", or to select neither kind of
// address.
func New(config Config) (*Resolver, error) {
	if len(config.Servers) == 0 {
		return nil, errors.New("resolver has no name servers")
	}
	for _, s := range config.Servers {
		if _, err := netip.ParseAddrPort(s); err != nil {
			return nil, fmt.Errorf("name server %q: %w", s, err)
		}
	}
	if !config.IPv4 && !config.IPv6 {
		return nil, errors.New(`"ipv4" and "ipv6" cannot both be "off"`)
	}
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	return &Resolver{config: config, cache: map[string]*entry{}}, nil
}

// Lookup returns the addresses of a name, cached ones in random order, and how long they may be kept. Errors are *Error
// (TimedOut also if the context's deadline has passed), or context.Canceled. Concurrent callers for the same name share
// one question.
func (r *Resolver) Lookup(ctx context.Context, name string) (addrs []netip.Addr, valid time.Duration, err error) {
	r.Counters.requests[kindName].Add(1)
	return r.lookup(ctx, name)
}

func (r *Resolver) lookup(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	if addr, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{addr}, r.config.Timeout, nil
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return nil, 0, &Error{Name: name, Code: NotFound, Cause: errors.New("not a domain name")}
	}
	q, addrs, valid := r.cached(name)
	if q == nil {
		return shuffled(addrs), valid, nil
	}
	select {
	case <-q.done:
		return slices.Clone(q.addrs), q.valid, q.err // in the order of the answer, IPv4 first
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, 0, &Error{Name: name, Code: TimedOut, Cause: ctx.Err()}
		}
		return nil, 0, ctx.Err()
	}
}

// cached returns a name's unexpired addresses, or the question to wait for; it starts the question if none is pending.
func (r *Resolver) cached(name string) (*question, []netip.Addr, time.Duration) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.cache[name]
	if e == nil {
		r.makeRoom(now)
		e = &entry{}
		r.cache[name] = e
	}
	if left := e.expires.Sub(now); left > 0 {
		return nil, e.addrs, left
	}
	if e.asking == nil {
		e.asking = &question{done: make(chan struct{})}
		go r.answer(name, e)
	}
	return e.asking, nil, 0
}

// Forget drops the cached answer for a name: something shows that it has changed.
func (r *Resolver) Forget(name string) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.cache[name]; e != nil {
		e.expires = time.Time{}
	}
}

// Names returns the number of names that are cached or being resolved.
func (r *Resolver) Names() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.cache)
}

// makeRoom evicts names if there are too many: expired ones, or any.
func (r *Resolver) makeRoom(now time.Time) {
	if len(r.cache) < maxNames {
		return
	}
	for _, all := range []bool{false, true} {
		for name, e := range r.cache {
			if e.asking == nil && (all || now.After(e.expires)) {
				delete(r.cache, name)
			}
			if all && len(r.cache) < maxNames {
				return
			}
		}
	}
}

// answer asks the servers for a name and wakes the waiters.
func (r *Resolver) answer(name string, e *entry) {
	ctx, cancel := context.WithTimeout(context.Background(), r.config.Timeout)
	defer cancel()
	q := e.asking
	q.addrs, q.valid, q.err = r.addresses(ctx, name)
	r.mu.Lock()
	e.asking = nil
	if q.err == nil {
		e.addrs, e.expires = q.addrs, time.Now().Add(q.valid)
	} else {
		delete(r.cache, name)
	}
	r.mu.Unlock()
	close(q.done)
}

// addresses asks for both kinds of addresses at once, as ngx_resolver does. Either kind may be missing, but a failure
// of one fails the whole lookup: half an answer would remove the other half's servers from their groups. An alias
// counts if neither answer has an address, and then for both kinds.
func (r *Resolver) addresses(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	var types []uint16
	if r.config.IPv4 {
		types = append(types, dns.TypeA)
	}
	if r.config.IPv6 {
		types = append(types, dns.TypeAAAA)
	}
	ttl := time.Duration(1<<31-1) * time.Second
	for at, left := dns.Fqdn(name), maxAliases; left > 0; left-- {
		parts := make([]part, len(types))
		var all sync.WaitGroup
		for i, t := range types {
			all.Go(func() { parts[i] = r.part(ctx, name, at, t) })
		}
		all.Wait()
		var addrs []netip.Addr
		next := part{err: &Error{Name: name, Code: NotFound}}
		for _, p := range parts {
			switch {
			case p.err != nil && !errors.Is(p.err, ErrNotFound):
				return nil, 0, p.err
			case len(p.addrs) > 0:
				addrs, ttl = append(addrs, p.addrs...), min(ttl, p.ttl)
			case p.alias != "":
				next = p
			}
		}
		if len(addrs) > 0 {
			return addrs, r.validity(ttl), nil
		}
		if next.alias == "" {
			return nil, 0, next.err
		}
		at, ttl = next.alias, min(ttl, next.ttl)
	}
	return nil, 0, tooManyAliases(name)
}

func tooManyAliases(name string) error {
	return &Error{Name: name, Code: NotFound, Cause: fmt.Errorf("more than %d aliases", maxAliases)}
}

func (r *Resolver) validity(ttl time.Duration) time.Duration {
	if r.config.ValidOverride > 0 {
		return r.config.ValidOverride
	}
	return ttl
}

// part is the content of one answer: addresses, or the alias at which to ask again.
type part struct {
	addrs []netip.Addr
	alias string
	ttl   time.Duration
	err   error
}

// part asks for one type of address. name is for errors, at is the name in the question.
func (r *Resolver) part(ctx context.Context, name, at string, kind uint16) part {
	reply, err := r.ask(ctx, name, "", at, kind)
	if err != nil {
		return part{err: err}
	}
	owner, p := alias(reply, at)
	for _, rr := range reply.Answer {
		if !strings.EqualFold(rr.Header().Name, owner) || rr.Header().Rrtype != kind {
			continue
		}
		var addr netip.Addr
		ok := false
		switch rec := rr.(type) {
		case *dns.A:
			addr, ok = netip.AddrFromSlice(rec.A.To4())
		case *dns.AAAA:
			addr, ok = netip.AddrFromSlice(rec.AAAA)
		}
		if ok {
			p.addrs, p.ttl = append(p.addrs, addr), min(p.ttl, life(rr))
		}
	}
	return p
}

// alias follows the CNAMEs within an answer: it returns the name whose records count, and with it as alias if it
// differs from the question.
func alias(reply *dns.Msg, at string) (owner string, p part) {
	owner, p.ttl = at, time.Duration(1<<31-1)*time.Second
	for moved, left := true, maxAliases; moved && left > 0; left-- {
		moved = false
		for _, rr := range reply.Answer {
			if rec, ok := rr.(*dns.CNAME); ok && strings.EqualFold(rec.Hdr.Name, owner) {
				owner, p.ttl, moved = dns.Fqdn(rec.Target), min(p.ttl, life(rr)), true
				break
			}
		}
	}
	if !strings.EqualFold(owner, at) {
		p.alias = owner
	}
	return owner, p
}

func life(rr dns.RR) time.Duration { return time.Duration(rr.Header().Ttl) * time.Second }

func shuffled(addrs []netip.Addr) []netip.Addr {
	out := append([]netip.Addr(nil), addrs...)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
