package cache

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"starling/lib/clock"
	"starling/logs"
	"starling/zone/kinds"
)

// shared is the memory that a cache with `sync` shares with the nodes of its cluster: a zone of pairs with their own
// lives. A purge is a pair that is never changed, so nodes that were apart simply have the union of their purges. The
// zone is how purges travel; each node applies one when it learns it, and then keeps it like one of its own.
type shared struct {
	zone *kinds.Keyval

	mu       sync.Mutex
	incoming *kinds.Keyval // reads payloads of peers, and is empty in between
	refused  int64         // of the zone, as the manager last saw it
}

const (
	// sharedLife is how long a purge is in the zone: a node that is away for less learns it when it is back. One that
	// is away for longer purges everything (peers.go), so it need not be longer than a restart or a repair takes.
	sharedLife = time.Hour
	// maxShared bounds the purges in the zone, and so the memory for which each node remembers them: 28 a second.
	maxShared = 100_000
	// sharedPrefixBytes bounds the prefix of a wildcard in the zone. A longer one is cut, which purges more.
	sharedPrefixBytes = 256
	// SharedBytes is the size of the zone: maxShared purges with the longest prefix, and as much again for those that
	// peers make before they know that there are as many.
	SharedBytes = 80 << 20
	// clocksDifferMS is by how much two clocks can differ that follow the time of the cluster.
	clocksDifferMS = 2_000
	// maxAheadMS is how far the clocks of nodes that agree on the time can differ.
	maxAheadMS = 60_000
	// knownLife is how long a node remembers a purge that it has applied. It is longer than the life in the zone: a
	// node that was down for less announces its purges again, which must not purge twice.
	knownLife = 24 * time.Hour
)

// The kinds of pairs, in the first byte of their keys. The key of a purge goes on with its time on the node that made
// it, 8 bytes, and the MD5 of the key or the prefix; that of a node with its number. Only the last has a value: how
// long the node ran, and how long it keeps purges, 8 bytes each, in milliseconds.
const (
	sharedExact  = 'k'
	sharedPrefix = 'p'
	sharedNode   = 'n'
)

const timeBytes = 8

// Share makes a zone the one that this cache shares its purges with. The cache gets what peers send from then on, so it
// is called before the zone is used.
func (c *Cache) Share(zone *kinds.Keyval) {
	s := &shared{zone: zone, incoming: newIncoming()}
	zone.OnCommit(
		func([]byte) (func() error, error) { return func() error { return nil }, nil },
		func(record []byte) { c.receive(s, record) },
	)
	c.sharing.Store(s)
}

// Unshare ends Share, when a configuration has no `sync` any more.
func (c *Cache) Unshare() { c.sharing.Store(nil) }

// Shares reports whether purges hold on other nodes too.
func (c *Cache) Shares() bool { return c.sharing.Load() != nil }

func newIncoming() *kinds.Keyval {
	return kinds.NewKeyval(kinds.KeyvalConfig{Name: "incoming", Bytes: SharedBytes})
}

// Announce puts the purges of earlier processes and configurations into the zone, for the rest of their lives.
func (c *Cache) Announce(now clock.Reading) error {
	s, p := c.sharing.Load(), &c.purges
	left := map[string]int64{}
	p.mu.RLock()
	for key, learntMS := range p.known {
		if leftMS := learntMS + sharedLife.Milliseconds() - p.ran(now); leftMS > 0 {
			left[key] = leftMS
		}
	}
	p.mu.RUnlock()
	for key, leftMS := range left {
		if err := s.zone.Set([]byte(key), nil, leftMS, now); err != nil {
			return fmt.Errorf("cannot share the purges of cache \"%s\": %w", c.Name(), err)
		}
	}
	return nil
}

// sharedKey is the key of a purge in the zone.
func (one *purge) sharedKey(key Key) []byte {
	b := []byte{sharedExact}
	if one.wildcard {
		b[0] = sharedPrefix
	}
	b = binary.BigEndian.AppendUint64(b, uint64(one.atMS))
	if one.wildcard {
		return append(b, one.prefix[:min(len(one.prefix), sharedPrefixBytes)]...)
	}
	return append(b, key[:]...)
}

// parseShared is the purge of a key in the zone, with the time of the node that made it.
func parseShared(b []byte) (key Key, one purge, ok bool) {
	if len(b) < 1+timeBytes {
		return key, one, false
	}
	one.atMS = int64(binary.BigEndian.Uint64(b[1:]))
	rest := b[1+timeBytes:]
	switch {
	case b[0] == sharedExact && len(rest) == len(key):
		copy(key[:], rest)
		return key, one, true
	case b[0] == sharedPrefix && len(rest) <= sharedPrefixBytes:
		one.prefix, one.wildcard = append([]byte{}, rest...), true
		return key, one, true
	}
	return key, one, false
}

// receive applies what a peer has sent. When it returns, no request is answered with what a purge covers, and only then
// the peer gets its acknowledgement.
func (c *Cache) receive(s *shared, record []byte) {
	now := c.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	here := kinds.Restored{AheadMS: now.WallMS - now.MonoMS}
	if err := s.incoming.Restore(record, &here, now); err != nil {
		c.logf(logs.Error, "cache \"%s\" cannot read purges of a peer, and purges everything: %v", c.Name(), err)
		c.purgeMore(now)
		s.incoming = newIncoming()
		return
	}
	for pair := range s.incoming.All(now) {
		if len(pair.Key) == 1+timeBytes && pair.Key[0] == sharedNode && len(pair.Value) == 2*timeBytes {
			c.hear(binary.BigEndian.Uint64(pair.Key[1:]), int64(binary.BigEndian.Uint64(pair.Value)),
				int64(binary.BigEndian.Uint64(pair.Value[timeBytes:])), now)
		} else if key, one, ok := parseShared(pair.Key); ok {
			c.learn(string(pair.Key), key, one, now)
		}
		if err := s.incoming.Delete(pair.Key, now); err != nil {
			break // it has just ended; the next line frees it
		}
	}
	if s.incoming.Len() > 0 {
		s.incoming = newIncoming()
	}
}

// learn applies a purge of another node, as if it had been made here just now: what this node has stored meanwhile can
// be from before it, and its clock can differ.
func (c *Cache) learn(shared string, key Key, one purge, now clock.Reading) {
	p := &c.purges
	one.untilS = c.purgeUntilS(now)
	p.mu.Lock()
	if _, known := p.known[shared]; known {
		p.mu.Unlock()
		return
	}
	if !p.makesRoom(one, now) {
		p.mu.Unlock()
		c.purgeMore(now)
		return
	}
	// The time of the other node counts too: this one's clock may not follow the cluster yet, as it did before a
	// restart. What begins from now on is later than that (purges.began), whatever the clocks show.
	one.atMS = max(p.nowMS(now), min(one.atMS+clocksDifferMS, now.WallMS+maxAheadMS))
	p.put(key, one)
	learntMS := p.knows(shared, now)
	p.mu.Unlock()
	p.append(one.record(key), knownRecord(shared, learntMS))
	c.unsyncedPurges()
	if one.wildcard {
		c.wakePurger()
	}
}

// purgeMore purges everything in this cache, here only: what must be purged is not known.
func (c *Cache) purgeMore(now clock.Reading) {
	one := c.rememberAll(now, 0)
	c.purges.append(one.record(Key{}))
	c.unsyncedPurges()
	c.wakePurger()
}

// rememberAll purges everything in memory, also what was asked for by a clock that is so much ahead.
func (c *Cache) rememberAll(now clock.Reading, aheadMS int64) *purge {
	p, one := &c.purges, purge{untilS: c.purgeUntilS(now), wildcard: true}
	p.mu.Lock()
	defer p.mu.Unlock()
	one.atMS = max(p.nowMS(now), now.WallMS+aheadMS)
	clear(p.exact) // it covers all of them
	p.put(Key{}, one)
	return &one
}

// share sends a purge to the other nodes.
func (s *shared) share(key []byte, now clock.Reading) error {
	return s.zone.Set(key, nil, sharedLife.Milliseconds(), now)
}

// lacksPurges reports, once, that the zone had no room for purges of other nodes.
func (s *shared) lacksPurges() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := s.zone.Stats().Refused
	lacks := refused > s.refused
	s.refused = refused
	return lacks
}
