package zone

import "sync"

// This file keeps what peers compare: a digest per shard, and one sketch of the whole zone.

// minComparedBytes is what a record costs at least, with a difference to spare: the sketch of a small zone is small.
const minComparedBytes = 256

// sums is the sketch of all records, kept up with each write. Its lock is a leaf, taken under shards' locks:
// docs/decisions/2026-11-23-incremental-sketch.md has what it costs.
type sums struct {
	mu     sync.Mutex
	sketch *Sketch // nil in zones that are never compared
}

// With counts an element among what the shard holds.
func (sh *Shard) With(e Element) {
	digest := e.Digest()
	sh.digest += digest
	sh.changes++
	if c := &sh.store.sums; c.sketch != nil {
		c.mu.Lock()
		c.sketch.add(e, digest)
		c.mu.Unlock()
	}
}

// Without is the reverse of With.
func (sh *Shard) Without(e Element) {
	digest := e.Digest()
	sh.digest -= digest
	sh.changes++
	if c := &sh.store.sums; c.sketch != nil {
		c.mu.Lock()
		c.sketch.remove(e, digest)
		c.mu.Unlock()
	}
}

// Instead counts one element in the place of another.
func (sh *Shard) Instead(old, e Element) {
	if old == e {
		return // a touch: only the expiry moved
	}
	was, digest := old.Digest(), e.Digest()
	sh.digest += digest - was
	sh.changes++
	if c := &sh.store.sums; c.sketch != nil {
		c.mu.Lock()
		c.sketch.remove(old, was)
		c.sketch.add(e, digest)
		c.mu.Unlock()
	}
}

// Sketch returns the sketch of the whole zone with at most that many cells, or nil if the zone keeps none.
func (s *Store) Sketch(cells int) *Sketch {
	s.sums.mu.Lock()
	defer s.sums.mu.Unlock()
	if s.sums.sketch == nil {
		return nil
	}
	return s.sums.sketch.Folded(cells)
}

// Digests writes the digest of each shard and says whether they may be compared: a zone that gave up records may not,
// nor one that lacks what it had no room for.
func (s *Store) Digests(out *[Shards]uint64) (comparable bool) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.Lock()
		out[i] = sh.digest
		sh.Unlock()
	}
	return s.IsWhole()
}

// IsWhole says that the zone lacks no record for want of room.
func (s *Store) IsWhole() bool { return s.evicted.Load() == 0 && !s.lacks[Foreign].now(s.live.Load()) }

// Changes counts how often what is compared has changed: a change and its reverse leave the digests as they were.
func (s *Store) Changes() (changes uint64) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.Lock()
		changes += sh.changes
		sh.Unlock()
	}
	return changes
}
