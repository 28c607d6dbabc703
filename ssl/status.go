package ssl

import (
	"container/list"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"starling/conf"
	"starling/ssl/ocsp"
)

// StatusChecks are ssl_ocsp: which certificates of a client are asked about.
type StatusChecks uint8

// The values of ssl_ocsp.
const (
	StatusOff  StatusChecks = iota
	StatusAll               // all but the root
	StatusLeaf              // only the client's own
)

// StatusCheckWords are the words of ssl_ocsp.
var StatusCheckWords = map[string]StatusChecks{"off": StatusOff, "on": StatusAll, "leaf": StatusLeaf}

// Failures of ssl_ocsp, in nginx's words: $ssl_client_verify shows them after "FAILED:".
const (
	statusFailed  = "certificate status request failed"
	statusRevoked = "certificate revoked"
	statusUnknown = "certificate status unknown"
)

// status asks responders about clients.
type status struct {
	checks    StatusChecks
	responder *ocsp.Responder // nil: that of each certificate
	asker     *ocsp.Asker
	cache     *StatusCache // may be nil
	pending   *pendingStatuses
}

func (s *ServerSettings) status() (*status, error) {
	if s.StatusChecks == StatusOff {
		return nil, nil
	}
	if s.VerifyClient == VerifyOptionalNoCA {
		return nil, errors.New("\"ssl_ocsp\" is incompatible with \"ssl_verify_client optional_no_ca\"")
	}
	out := &status{checks: s.StatusChecks, asker: s.Asker, cache: s.Statuses, pending: &pendingStatuses{}}
	if s.StatusResponder == "" {
		// The names in certificates need a resolver, as in nginx.
		asker := *s.Asker
		asker.Lookup = nil
		out.asker = &asker
		return out, nil
	}
	responder, err := ocsp.ParseResponder(s.StatusResponder)
	if err != nil {
		return nil, fmt.Errorf("%w in \"ssl_ocsp_responder\"", err)
	}
	out.responder = &responder
	return out, nil
}

// CheckStatus asks about the certificates of a client, with ssl_ocsp, and notes in the peer what is wrong with them.
// The context bounds the time: the client waits, as in nginx. It returns the cause of a failed question, for the log.
func (s *Server) CheckStatus(ctx context.Context, p *Peer) error {
	if s.status == nil || p.Code != VerifyOK || p.Certificate == nil {
		return nil
	}
	path := p.path
	p.path = nil
	for i := range len(path) - 1 {
		if i > 0 && s.status.checks == StatusLeaf {
			break
		}
		found, err := s.status.of(ctx, path[i], path[i+1])
		switch {
		case err != nil:
			p.Status = statusFailed
			return err
		case found == ocsp.Revoked:
			p.Status = statusRevoked
			return nil
		case found == ocsp.Unknown:
			p.Status = statusUnknown
			return nil
		}
	}
	return nil
}

// of is the status of one certificate.
func (s *status) of(ctx context.Context, certificate, issuer *x509.Certificate) (ocsp.Status, error) {
	responder := s.responder
	if responder == nil {
		if len(certificate.OCSPServer) == 0 {
			return 0, ocsp.ErrNoURL
		}
		parsed, err := ocsp.ParseResponder(certificate.OCSPServer[0])
		if err != nil {
			return 0, fmt.Errorf("%w in certificate", err)
		}
		responder = &parsed
	}
	key := ocsp.Key(certificate, issuer)
	if found, ok := s.cache.get(key, time.Now()); ok {
		return found, nil
	}
	answer, err := s.pending.share(ctx, fmt.Sprint(key, *responder), func(ctx context.Context) (ocsp.Answer, error) {
		raw, err := s.asker.Ask(ctx, *responder, certificate, issuer)
		if err != nil {
			return ocsp.Answer{}, err
		}
		return ocsp.Parse(raw, certificate, issuer, ocsp.Authorized(issuer), time.Now())
	})
	if err != nil {
		return 0, fmt.Errorf("%w while requesting certificate status, responder: %s", err, responder.Host)
	}
	s.cache.put(key, answer, time.Now())
	return answer.Status, nil
}

// pendingStatuses let clients that ask the same at the same time share one question: a responder that is slow must not
// get more because of it.
type pendingStatuses struct {
	mu    sync.Mutex
	byKey map[string]*pendingStatus
}

type pendingStatus struct {
	waiting int // clients, guarded by the lock of pendingStatuses
	cancel  context.CancelFunc
	done    chan struct{}
	answer  ocsp.Answer
	err     error
}

// statusTimeout bounds a question, also if the clients that wait for it would wait longer.
const statusTimeout = time.Minute

func (p *pendingStatuses) share(
	ctx context.Context,
	key string,
	ask func(context.Context) (ocsp.Answer, error),
) (ocsp.Answer, error) {
	one := p.join(ctx, key, ask)
	select {
	case <-one.done:
		return one.answer, one.err
	case <-ctx.Done():
		p.leave(key, one)
		return ocsp.Answer{}, fmt.Errorf("OCSP responder timed out (%w)", context.Cause(ctx))
	}
}

// join returns the question of a key, and asks it if nobody else does.
func (p *pendingStatuses) join(
	ctx context.Context,
	key string,
	ask func(context.Context) (ocsp.Answer, error),
) *pendingStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.byKey[key]
	if one == nil {
		// Not the context of the first client: others wait too.
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusTimeout)
		one = &pendingStatus{cancel: cancel, done: make(chan struct{})}
		if p.byKey == nil {
			p.byKey = map[string]*pendingStatus{}
		}
		p.byKey[key] = one
		go func() {
			defer cancel()
			one.answer, one.err = ask(asking)
			p.mu.Lock()
			p.forget(key, one)
			p.mu.Unlock()
			close(one.done)
		}()
	}
	one.waiting++
	return one
}

// leave ends a question that no client waits for any more. Otherwise clients that come and go could pile up questions.
func (p *pendingStatuses) leave(key string, one *pendingStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one.waiting--; one.waiting == 0 {
		p.forget(key, one)
		one.cancel()
	}
}

// forget lets the next client ask again. It must be called with the lock held.
func (p *pendingStatuses) forget(key string, one *pendingStatus) {
	if p.byKey[key] == one {
		delete(p.byKey, key)
	}
}

// StatusCache is an ssl_ocsp_cache. When it is full, the oldest statuses are evicted, as in nginx. It is safe for
// concurrent use; a nil one keeps nothing.
type StatusCache struct {
	limitBytes int64

	mu    sync.Mutex
	byKey map[string]*list.Element
	byAge list.List // of *keptStatus, the oldest first
}

type keptStatus struct {
	key   string
	found ocsp.Status
	until time.Time
}

const (
	// keptStatusBytes is the approximate memory of a status: key, map and list.
	keptStatusBytes = 256
	// statusLife is how long a status without an end is kept, as in nginx.
	statusLife = time.Hour
)

// NewStatusCache returns an empty cache of so many bytes.
func NewStatusCache(limitBytes int64) *StatusCache {
	return &StatusCache{limitBytes: limitBytes, byKey: map[string]*list.Element{}}
}

func (c *StatusCache) get(key string, now time.Time) (ocsp.Status, bool) {
	if c == nil {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return 0, false
	}
	if kept := e.Value.(*keptStatus); now.Before(kept.until) {
		return kept.found, true
	}
	c.remove(e)
	return 0, false
}

func (c *StatusCache) put(key string, answer ocsp.Answer, now time.Time) {
	if c == nil {
		return
	}
	until := answer.Until
	if until.IsZero() {
		until = now.Add(statusLife)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		c.remove(e)
	}
	for c.byAge.Len() > 0 && int64(c.byAge.Len()+1)*keptStatusBytes > c.limitBytes {
		c.remove(c.byAge.Front())
	}
	c.byKey[key] = c.byAge.PushBack(&keptStatus{key, answer.Status, until})
}

// remove must be called with the lock held.
func (c *StatusCache) remove(e *list.Element) {
	delete(c.byKey, e.Value.(*keptStatus).key)
	c.byAge.Remove(e)
}

// parseStatusCache reads ssl_ocsp_cache.
func parseStatusCache(a *conf.Args) (CacheWords, error) {
	word := a.Words[0]
	if word == "off" {
		return CacheWords{}, nil
	}
	rest, shared := strings.CutPrefix(word, "shared:")
	name, size, _ := strings.Cut(rest, ":")
	bytes, err := conf.Size(size)
	switch {
	case !shared || name == "" || err != nil:
		return CacheWords{}, fmt.Errorf("invalid OCSP cache \"%s\"", word)
	case bytes < minCacheBytes:
		return CacheWords{}, fmt.Errorf("OCSP cache \"%s\" is too small", word)
	}
	return CacheWords{Name: name, Bytes: bytes}, nil
}

// StatusCaches are the caches of one configuration, by name.
type StatusCaches struct{ byName map[string]*StatusCache }

// Open returns the cache of the arguments, nil for none. old are the caches of the previous configuration: one of the
// same name and size is reused.
func (all *StatusCaches) Open(words CacheWords, old *StatusCaches) (*StatusCache, error) {
	if words.Bytes == 0 {
		return nil, nil
	}
	c := all.byName[words.Name]
	if c == nil && old != nil && old.byName[words.Name] != nil && old.byName[words.Name].limitBytes == words.Bytes {
		c = old.byName[words.Name]
	}
	if c == nil {
		c = NewStatusCache(words.Bytes)
	}
	if c.limitBytes != words.Bytes {
		return nil, sizeConflict(words, c.limitBytes)
	}
	if all.byName == nil {
		all.byName = map[string]*StatusCache{}
	}
	all.byName[words.Name] = c
	return c, nil
}
