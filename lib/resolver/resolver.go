// Package resolver asks name servers for addresses and services: A and AAAA together, with a cache that honours the
// records' life, in the words of nginx's resolver.
package resolver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Defaults as in nginx, except for the time after which another server is asked.
const (
	// DefaultTimeout is how long a name may take (resolver_timeout).
	DefaultTimeout = 30 * time.Second
	// perTry is how long one server may take before the next one is asked. nginx waits 5 s.
	perTry = 2 * time.Second
	// maxNames bounds the cache: names may come from clients (proxy_pass with variables).
	maxNames = 10000
	// maxAliases bounds a chain of CNAMEs, as in nginx.
	maxAliases = 50
	// maxTargets bounds the targets of one service that are looked up.
	maxTargets = 256
	// targetsAtOnce is how many targets of a service are asked for at the same time.
	targetsAtOnce = 8
)

// Config are the parameters of a resolver directive.
type Config struct {
	// Servers are "host:port" with IP addresses, asked in turn.
	Servers []string
	// ValidOverride replaces the records' own life (valid=); 0 honours it.
	ValidOverride time.Duration
	// IPv4 and IPv6 say which addresses to ask for.
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

// ErrNotFound is matched by errors.Is when the DNS says that a name does not exist or has no such records.
var ErrNotFound = errors.New("host not found")

// Error is a name that could not be resolved.
type Error struct {
	Name string
	// Service is set when SRV records were asked for.
	Service string
	Code    Code
	// Cause says more where the DNS did not answer at all; may be nil.
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

// entry is one name's last answer, or the question that is out.
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

// New returns a resolver. It is an error to have no server, or one that is not "IP:port", or to want neither kind of address.
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

// Lookup returns the addresses of a name in random order, and how long they may be kept. Errors are *Error (TimedOut also
// when the context's deadline passed), or context.Canceled.
// Callers that ask for the same name at the same time share one question.
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
		return shuffled(q.addrs), q.valid, q.err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, 0, &Error{Name: name, Code: TimedOut, Cause: ctx.Err()}
		}
		return nil, 0, ctx.Err()
	}
}

// cached returns a name's living addresses, or the question to wait for; it asks it if nobody did.
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

// Names is how many names are kept or being asked for.
func (r *Resolver) Names() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.cache)
}

// makeRoom drops names when there are too many: those that have expired, or any.
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

// answer asks the servers for a name and wakes those who wait.
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

// addresses asks for both kinds of addresses at once. One kind is enough; with none, the graver error is told.
func (r *Resolver) addresses(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	var types []uint16
	if r.config.IPv4 {
		types = append(types, dns.TypeA)
	}
	if r.config.IPv6 {
		types = append(types, dns.TypeAAAA)
	}
	type part struct {
		addrs []netip.Addr
		ttl   time.Duration
		err   error
	}
	parts := make([]part, len(types))
	var all sync.WaitGroup
	for i, t := range types {
		all.Go(func() {
			p := &parts[i]
			p.addrs, p.ttl, p.err = r.chase(ctx, name, t)
		})
	}
	all.Wait()
	var addrs []netip.Addr
	var ttl time.Duration
	var failure error
	for _, p := range parts {
		if len(p.addrs) > 0 && (len(addrs) == 0 || p.ttl < ttl) {
			ttl = p.ttl
		}
		addrs = append(addrs, p.addrs...)
		if p.err != nil && (failure == nil || errors.Is(failure, ErrNotFound)) {
			failure = p.err
		}
	}
	if len(addrs) == 0 {
		return nil, 0, failure
	}
	return addrs, r.validity(ttl), nil
}

func (r *Resolver) validity(ttl time.Duration) time.Duration {
	if r.config.ValidOverride > 0 {
		return r.config.ValidOverride
	}
	return ttl
}

// chase asks for one type of address and follows CNAMEs, also across answers.
func (r *Resolver) chase(ctx context.Context, name string, kind uint16) ([]netip.Addr, time.Duration, error) {
	ttl := time.Duration(1<<31-1) * time.Second
	at := dns.Fqdn(name)
	for left := maxAliases; ; {
		reply, err := r.ask(ctx, name, "", at, kind)
		if err != nil {
			return nil, 0, err
		}
		var addrs []netip.Addr
		moved := true
		for moved && len(addrs) == 0 {
			moved = false
			for _, rr := range reply.Answer {
				if !strings.EqualFold(rr.Header().Name, at) {
					continue
				}
				life := time.Duration(rr.Header().Ttl) * time.Second
				switch rec := rr.(type) {
				case *dns.CNAME:
					if left--; left <= 0 {
						return nil, 0, &Error{Name: name, Code: NotFound, Cause: fmt.Errorf("more than %d aliases", maxAliases)}
					}
					at, ttl, moved = dns.Fqdn(rec.Target), min(ttl, life), true
				case *dns.A:
					if a, ok := netip.AddrFromSlice(rec.A.To4()); ok && kind == dns.TypeA {
						addrs, ttl = append(addrs, a), min(ttl, life)
					}
				case *dns.AAAA:
					if a, ok := netip.AddrFromSlice(rec.AAAA); ok && kind == dns.TypeAAAA {
						addrs, ttl = append(addrs, a), min(ttl, life)
					}
				}
				if moved {
					break
				}
			}
		}
		if len(addrs) > 0 {
			return addrs, ttl, nil
		}
		if strings.EqualFold(at, reply.Question[0].Name) {
			return nil, 0, &Error{Name: name, Code: NotFound}
		}
	}
}

func shuffled(addrs []netip.Addr) []netip.Addr {
	out := append([]netip.Addr(nil), addrs...)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
