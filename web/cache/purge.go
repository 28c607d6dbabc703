package cache

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"starling/lib/clock"
	"starling/lib/durable"
)

// purges are the purges of a cache. One is a time: responses that were asked for before are misses. So it also covers
// the variants of a key, which the index does not know by it, and a response that is on its way during the purge. It is
// kept until no response is left that nobody has asked for since: those that somebody asks for are removed then, the
// others after `inactive`.
type purges struct {
	count atomic.Int32 // of all, so that a cache without purges takes no lock
	last  atomic.Int64 // the latest, in milliseconds
	// newest is the begin of the latest request whose response is stored: a purge covers it even if the clock of the
	// machine was set back since.
	newest atomic.Int64

	mu    sync.RWMutex
	exact map[Key]purge
	wild  []purge
	known map[string]int64 // the keys of purges in the shared zone, with the time (peers.ran) at which each was learnt
	peers

	logMu sync.Mutex
	log   *durable.Log // nil while another process has it
	away  bool         // that one replaces this process, or is replaced by it: see Yield
	// closed is set while no configuration uses the cache: the manager, which ends a little later, must not open the
	// file again.
	closed bool
	// unkept is why the file cannot be written, such as on a full disk: purges are rejected. The manager tries again.
	unkept  error
	read    bool  // the file was read, or cannot be and everything counts as purged
	retryMS int64 // when the manager tries again
}

type purge struct {
	prefix   []byte // of a wildcard
	atMS     int64
	untilS   int64
	wildcard bool
}

// maxPurges bounds the purges that a cache keeps, 100 bytes each; maxWildcards those with a wildcard, with which each
// key is compared.
const (
	maxPurges    = 100_000
	maxWildcards = 100
)

// ErrTooManyPurges is a purge that a cache cannot remember.
var ErrTooManyPurges = errors.New("too many purges within the time of \"inactive\"")

// began is the time of a request: later than all purges that have ended.
func (p *purges) began(wallMS int64) int64 { return max(wallMS, p.last.Load()+1) }

// covers reports whether a response was purged after its request began.
func (p *purges) covers(main Key, key []byte, createdMS int64) bool {
	if p.count.Load() == 0 {
		return false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if one, ok := p.exact[main]; ok && createdMS <= one.atMS {
		return true
	}
	for i := range p.wild {
		if createdMS <= p.wild[i].atMS && bytes.HasPrefix(key, p.wild[i].prefix) {
			return true
		}
	}
	return false
}

// add adds a purge; shared is its key in the shared zone, nil if there is none.
func (p *purges) add(key Key, one purge, shared []byte, now clock.Reading) (learntMS int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.makesRoom(one, now) {
		return 0, ErrTooManyPurges
	}
	p.put(key, one)
	if shared != nil {
		learntMS = p.knows(string(shared), now)
	}
	return learntMS, nil
}

// makesRoom reports whether there is room for a purge. Usually the manager has forgotten old ones.
func (p *purges) makesRoom(one purge, now clock.Reading) bool {
	if p.lacksRoom(one) {
		p.expire(now, sharedLife)
	}
	return !p.lacksRoom(one)
}

func (p *purges) lacksRoom(one purge) bool {
	return len(p.exact) >= maxPurges || len(p.known) >= maxShared ||
		one.wildcard && len(p.wild) >= maxWildcards && !p.replaces(one.prefix)
}

// knows remembers a purge in the shared zone.
func (p *purges) knows(shared string, now clock.Reading) (learntMS int64) {
	if p.known == nil {
		p.known = map[string]int64{}
	}
	learntMS = p.ran(now)
	p.known[shared] = learntMS
	return learntMS
}

// nowMS is the time of a purge that is made now.
func (p *purges) nowMS(now clock.Reading) int64 {
	return max(now.WallMS, p.last.Load()+1, p.newest.Load())
}

// replaces reports whether a wildcard covers all that another one does.
func (p *purges) replaces(prefix []byte) bool {
	for i := range p.wild {
		if bytes.HasPrefix(p.wild[i].prefix, prefix) {
			return true
		}
	}
	return false
}

// put adds a purge, with the lock held. A later one of the same key replaces it.
func (p *purges) put(key Key, one purge) {
	if one.wildcard {
		kept := p.wild[:0]
		for _, old := range p.wild {
			if old.atMS > one.atMS || !bytes.HasPrefix(old.prefix, one.prefix) {
				kept = append(kept, old)
			}
		}
		p.wild = append(kept, one)
	} else if old, ok := p.exact[key]; !ok || old.atMS < one.atMS {
		if p.exact == nil {
			p.exact = map[Key]purge{}
		}
		p.exact[key] = one
	}
	p.count.Store(int32(len(p.exact) + len(p.wild)))
	raise(&p.last, one.atMS)
}

// raise makes a number at least n.
func raise(number *atomic.Int64, n int64) {
	for old := number.Load(); old < n && !number.CompareAndSwap(old, n); old = number.Load() {
	}
}

// expire forgets the purges that cover nothing any more, and those that were learnt that long ago.
func (p *purges) expire(now clock.Reading, known time.Duration) {
	nowS, ranMS := wallSeconds(now), p.ran(now)
	for shared, learntMS := range p.known {
		if learntMS+known.Milliseconds() < ranMS {
			delete(p.known, shared)
		}
	}
	for key, one := range p.exact {
		if one.untilS < nowS {
			delete(p.exact, key)
		}
	}
	kept := p.wild[:0]
	for _, one := range p.wild {
		if one.untilS >= nowS {
			kept = append(kept, one)
		}
	}
	p.wild = kept
	p.count.Store(int32(len(p.exact) + len(p.wild)))
}

// Purge removes the response of a key with its variants. found reports whether there was one.
func (c *Cache) Purge(key []byte, now clock.Reading) (found bool, err error) {
	if err := c.purge(key, false, now); err != nil {
		return false, err
	}
	t := Ticket{Key: bytes.Clone(key)}
	t.Begin(c, 1, now)
	if _, mayExist := t.touch(now); mayExist && (t.Object != nil || t.openFile(now)) {
		found = t.Object.hasKey(t.Key)
		t.load(now) // which removes it: the purge covers it
	}
	t.End()
	return found, nil
}

// PurgeAll makes the responses of all keys with a prefix misses. With Settings.Purges, their files are removed in the
// background.
func (c *Cache) PurgeAll(prefix []byte, now clock.Reading) error {
	if err := c.purge(prefix, true, now); err != nil {
		return err
	}
	c.wakePurger()
	return nil
}

func (c *Cache) wakePurger() {
	select {
	case c.purged <- struct{}{}:
	default: // the purger has not taken the previous one yet
	}
}

// sweep removes all files that a purge covers. It finds them in the folder: the index may have millions of keys, and
// its lock must not be held that long.
func (c *Cache) sweep(ctx context.Context) {
	walk := walker{c: c, pace: pacer{Pace: c.Settings().Purger, c: c}}
	walk.visit = func(_, name, suffix string) {
		if key, ok := keyOf(name, suffix); ok {
			c.sweepOne(key)
		}
	}
	walk.folder(ctx, c.Path, c.Levels, "")
}

func (c *Cache) sweepOne(key Key) {
	t := Ticket{c: c, key: key, minUses: 1}
	c.mu.Lock()
	e := c.index.get(&key)
	if e == nil || !e.exists {
		c.mu.Unlock()
		return
	}
	e.refs++
	t.e, t.version = e, e.version
	c.mu.Unlock()
	o, err := open(c.fileOf(key), asItIs)
	if err == nil {
		o.refs.Store(1)
		t.Object = o
		if c.purges.covers(md5.Sum(o.Key), o.Key, o.CreatedMS) {
			t.remove("")
		}
	}
	t.Release() // a file that cannot be read is removed when it is asked for
}

func (c *Cache) purge(key []byte, wildcard bool, now clock.Reading) error {
	p := &c.purges
	if p.isAway() {
		return ErrReplacing
	}
	one := purge{atMS: p.nowMS(now), untilS: c.purgeUntilS(now), wildcard: wildcard}
	var sum Key
	if wildcard {
		one.prefix = bytes.Clone(key)
	} else {
		sum = md5.Sum(key)
	}
	s := c.sharing.Load()
	if s == nil {
		if _, err := p.add(sum, one, nil, now); err != nil {
			return err
		}
		return p.append(one.record(sum))()
	}
	shared := one.sharedKey(sum)
	learntMS, err := p.add(sum, one, shared, now)
	if err != nil {
		return err
	}
	if err := p.append(one.record(sum), knownRecord(string(shared), learntMS))(); err != nil {
		return err
	}
	return s.share(shared, now)
}

// purgeUntilS is how long a purge that is made now is kept.
func (c *Cache) purgeUntilS(now clock.Reading) int64 {
	return add(wallSeconds(now), int64(c.Settings().Inactive/time.Second)+purgeSlackS)
}

// purgeSlackS is how much longer a purge is kept: the manager may remove what is inactive that much later.
const purgeSlackS = 60
