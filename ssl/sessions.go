package ssl

import (
	"container/list"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"time"

	"starling/conf"
)

// DefaultSessionTimeout is nginx's ssl_session_timeout.
const DefaultSessionTimeout = 5 * time.Minute

// SessionCache keeps sessions in memory and gives clients only their numbers: it is ssl_session_cache when tickets are
// off. (A client of TLS 1.2 without tickets, which resumes by the session id, is not supported by Go's TLS.) When it is
// full, the oldest sessions are evicted, as in nginx. It is safe for concurrent use.
type SessionCache struct {
	limitBytes int64
	// keys, of a cache that several servers may name, seal the tickets of all; nil for one server's.
	keys *TicketKeys

	mu        sync.Mutex
	usedBytes int64
	byID      map[sessionID]*list.Element
	byAge     list.List // of *session, the oldest first
}

type sessionID [32]byte

type session struct {
	id      sessionID
	state   []byte
	expires time.Time
}

// sessionOverheadBytes is the approximate cost of a session besides its state: map, list and headers.
const sessionOverheadBytes = 256

// NewSessionCache returns an empty cache of so many bytes.
func NewSessionCache(limitBytes int64) *SessionCache {
	return &SessionCache{limitBytes: limitBytes, byID: map[sessionID]*list.Element{}}
}

// use makes a server store its sessions here.
func (c *SessionCache) use(config *tls.Config, timeout time.Duration) {
	config.SessionTicketsDisabled = false
	config.WrapSession = func(_ tls.ConnectionState, state *tls.SessionState) ([]byte, error) {
		bytes, err := state.Bytes()
		if err != nil {
			return nil, err
		}
		id := c.put(bytes, time.Now().Add(timeout))
		return id[:], nil
	}
	config.UnwrapSession = func(id []byte, _ tls.ConnectionState) (*tls.SessionState, error) {
		bytes := c.get(id, time.Now())
		if bytes == nil {
			return nil, nil // a full handshake follows
		}
		return tls.ParseSessionState(bytes)
	}
}

func (s *session) bytes() int64 { return int64(len(s.state)) + sessionOverheadBytes }

func (c *SessionCache) put(state []byte, expires time.Time) sessionID {
	s := &session{state: state, expires: expires}
	rand.Read(s.id[:]) // never fails: the runtime ends the process first
	if s.bytes() > c.limitBytes {
		return s.id // not stored: it would be the only one
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.usedBytes += s.bytes()
	for c.usedBytes > c.limitBytes && c.byAge.Len() > 0 {
		c.remove(c.byAge.Front())
	}
	c.byID[s.id] = c.byAge.PushBack(s)
	return s.id
}

func (c *SessionCache) get(id []byte, now time.Time) []byte {
	if len(id) != len(sessionID{}) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byID[sessionID(id)]
	if e == nil {
		return nil
	}
	if s := e.Value.(*session); now.Before(s.expires) {
		return s.state
	}
	c.remove(e)
	return nil
}

// remove must be called with the lock held.
func (c *SessionCache) remove(e *list.Element) {
	s := e.Value.(*session)
	c.byAge.Remove(e)
	delete(c.byID, s.id)
	c.usedBytes -= s.bytes()
}

// CacheWords are the arguments of one ssl_session_cache.
type CacheWords struct {
	// Name is that of shared:NAME:SIZE; empty for a cache of one server only.
	Name string
	// Bytes is 0 if sessions are not stored.
	Bytes int64
}

// The default size of builtin, in sessions, is OpenSSL's; a megabyte holds about 4000 sessions, as nginx documents.
const (
	builtinSessions = 20480
	sessionBytes    = 256
)

func parseSessionCache(a *conf.Args) (words CacheWords, err error) {
	for _, word := range a.Words {
		kind, rest, cut := strings.Cut(word, ":")
		invalid := fmt.Errorf("invalid session cache \"%s\"", word)
		switch {
		case (kind == "off" || kind == "none") && !cut:
			words = CacheWords{}
		case kind == "builtin":
			count := builtinSessions
			if cut {
				if count, err = conf.Number(rest); err != nil {
					return words, invalid
				}
			}
			if words.Name == "" { // next to a shared one it would only be a second lookup
				words.Bytes = int64(count) * (sessionBytes + sessionOverheadBytes)
			}
		case kind == "shared":
			name, size, _ := strings.Cut(rest, ":")
			bytes, err := conf.Size(size)
			if name == "" || err != nil || bytes < minCacheBytes {
				return words, invalid
			}
			words = CacheWords{Name: name, Bytes: bytes}
		default:
			return words, invalid
		}
	}
	return words, nil
}

// minCacheBytes is the smallest size that nginx accepts: eight pages.
const minCacheBytes = 8 * 4096

// SessionCaches are the shared caches of one configuration, by name, and the keys of tickets of servers without one.
type SessionCaches struct {
	byName map[string]*SessionCache
	keys   *TicketKeys
}

// Keys are those of servers that have no shared cache and no ssl_session_ticket_key. old are the caches of the previous
// configuration: its keys are reused.
func (all *SessionCaches) Keys(old *SessionCaches) *TicketKeys {
	if all.keys == nil && old != nil {
		all.keys = old.keys
	}
	if all.keys == nil {
		all.keys = &TicketKeys{}
	}
	return all.keys
}

// Open returns the cache of the arguments, nil for none. old are the caches of the previous configuration: one of the
// same name and size is reused.
func (all *SessionCaches) Open(words CacheWords, old *SessionCaches) (*SessionCache, error) {
	switch {
	case words.Bytes == 0:
		return nil, nil
	case words.Name == "":
		return NewSessionCache(words.Bytes), nil
	}
	c := all.byName[words.Name]
	if c == nil && old != nil {
		c = old.byName[words.Name]
		if c != nil && c.limitBytes != words.Bytes {
			c = nil
		}
	}
	if c == nil {
		c = NewSessionCache(words.Bytes)
		c.keys = &TicketKeys{}
	}
	if c.limitBytes != words.Bytes {
		return nil, sizeConflict(words, c.limitBytes)
	}
	if all.byName == nil {
		all.byName = map[string]*SessionCache{}
	}
	all.byName[words.Name] = c
	return c, nil
}

func sizeConflict(words CacheWords, declaredBytes int64) error {
	return fmt.Errorf(
		"the size %d of shared memory zone \"%s\" conflicts with already declared size %d",
		words.Bytes,
		words.Name,
		declaredBytes,
	)
}
