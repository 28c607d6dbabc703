package zone

import (
	"sync"
	"sync/atomic"
)

// This file maintains what peers compare: a digest per shard, and one sketch of the whole zone.

// minComparedBytes is the minimum cost of a record, with room for a difference: the sketch of a small zone is small.
const minComparedBytes = 256

// sums is the sketch of all records, updated with each write. Its lock is a leaf, taken under shards' locks:
// docs/decisions/2026-11-23-incremental-sketch.md has its cost.
type sums struct {
	mu    sync.Mutex             // of all sketches
	whole atomic.Pointer[Sketch] // nil in a zone that is not compared, and until all shards are in it
}

// With adds an element to the digest of the shard.
func (sh *Shard) With(e Element) {
	digest := e.Digest()
	sh.digest += digest
	sh.changes++
	if c := &sh.store.sums; sh.sketch != nil {
		c.mu.Lock()
		sh.sketch.add(e, digest)
		c.mu.Unlock()
	}
}

// Without removes it again.
func (sh *Shard) Without(e Element) {
	digest := e.Digest()
	sh.digest -= digest
	sh.changes++
	if c := &sh.store.sums; sh.sketch != nil {
		c.mu.Lock()
		sh.sketch.remove(e, digest)
		c.mu.Unlock()
	}
}

// Instead replaces one element by another.
func (sh *Shard) Instead(old, e Element) {
	if old == e {
		return // a touch: only the expiry moved
	}
	was, digest := old.Digest(), e.Digest()
	sh.digest += digest - was
	sh.changes++
	if c := &sh.store.sums; sh.sketch != nil {
		c.mu.Lock()
		sh.sketch.remove(old, was)
		sh.sketch.add(e, digest)
		c.mu.Unlock()
	}
}

// Sketch returns the sketch of the whole zone with at most that many cells, or nil if the zone keeps none.
func (s *Store) Sketch(cells int) *Sketch {
	s.sums.mu.Lock()
	defer s.sums.mu.Unlock()
	whole := s.sums.whole.Load()
	if whole == nil {
		return nil
	}
	return whole.Folded(cells)
}

// Digests writes the digest of each shard and reports whether they can be compared: not if the zone evicted records or
// lacks records for which it had no room.
func (s *Store) Digests(out *[Shards]uint64) (comparable bool) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.Lock()
		out[i] = sh.digest
		sh.Unlock()
	}
	return s.IsWhole()
}

// IsWhole reports whether the zone has neither evicted nor rejected records, since it last grew.
func (s *Store) IsWhole() bool { return !s.incomplete.Load() && !s.lacks[Foreign].now(s.live.Load()) }

// Changes counts the changes of the compared content: a change and its reverse leave the digests unchanged.
func (s *Store) Changes() (changes uint64) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.Lock()
		changes += sh.changes
		sh.Unlock()
	}
	return changes
}
