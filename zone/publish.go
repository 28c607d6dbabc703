package zone

import (
	"starling/lib/clock"
	"starling/lib/stamp"
)

// A zone that only this process uses keeps no journal. While the process is replaced by another one, the two share it
// like nodes of a cluster, and it is published: its changes are kept for the journal.

// Publish starts to keep changes for the journal. What is in the zone already is taught: costs that were counted before
// are in the levels.
func (s *Store) Publish() {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	if s.sync.Load() || !s.Info().Kind.Sums {
		s.sync.Store(true)
		return
	}
	for i := range s.shards { // all at once, or a cost between could count twice
		s.shards[i].Lock()
		defer s.shards[i].Unlock()
	}
	for i := range s.shards {
		for n := range s.shards[i].slab {
			if r := &s.shards[i].slab[n]; r.state&stateLive != 0 {
				*r.Unsent() = 0
			}
		}
	}
	s.sync.Store(true)
}

// Unpublish ends that: changes that were not flushed are dropped from the dirty lists, and the tombstones, which no
// peer needs any more, from the shards. A Flush must have returned since the last change that peers need.
func (s *Store) Unpublish() { s.withdraw((*Shard).forgetTombstones) }

// Withdraw is Unpublish for a zone whose tombstones are still needed.
func (s *Store) Withdraw() { s.withdraw(func(*Shard) {}) }

func (s *Store) withdraw(also func(sh *Shard)) {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	s.sync.Store(false)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.Lock()
		sh.forgetChanges()
		also(sh)
		sh.Unlock()
		s.dirtyShards[i/64].And(^(uint64(1) << (i % 64)))
	}
}

// forgetChanges empties the dirty list of a locked shard.
func (sh *Shard) forgetChanges() {
	waiting := int64(len(sh.dirty))
	if sh.clearDirty {
		sh.clearDirty = false
		waiting++
	}
	for _, slot := range sh.dirty {
		r := sh.at(slot)
		r.state &^= stateDirty
		if sh.store.Info().Kind.Sums {
			*r.Unsent() = 0
		}
	}
	sh.dirty = nil
	sh.store.pending.Add(-waiting)
}

// forgetTombstones drops those of a locked shard.
func (sh *Shard) forgetTombstones() {
	for i := len(sh.slab); i > 0; i-- {
		if slot := Slot(i); sh.Live(slot) && sh.at(slot).Tombstone() {
			sh.Remove(slot)
		}
	}
}

// Share starts to keep changes for the journal in a zone that peers will share from now on. unsent is called under the
// shard's lock for each record, and reports whether the peers lack it. Clears are sent from since on.
func (s *Store) Share(since stamp.Stamp, unsent func(r *Record) bool) {
	if !s.Info().Kind.Sums && s.sums.whole.Load() == nil {
		s.compareAll()
	}
	s.sync.Store(true)
	wake := false
	for i := range s.shards {
		sh := &s.shards[i]
		sh.Lock()
		if sh.clear != 0 && sh.clear >= since && !sh.clearDirty {
			sh.clearDirty = true
			wake = sh.becameDirty() || wake
		}
		for n := range sh.slab {
			if r := &sh.slab[n]; r.state&stateLive != 0 && unsent(r) {
				wake = sh.MarkDirty(Slot(n+1), r) || wake
			}
		}
		sh.Unlock()
	}
	if wake {
		s.Wake(false)
	}
}

// Unshare ends that. What has changed so far is flushed, and stays in the journal: peers resume there when they share
// the zone again.
func (s *Store) Unshare(now clock.Reading) {
	s.sync.Store(false)
	for shard := range Shards {
		sh, _ := s.Cut(shard, now)
		sh.Unlock()
	}
}

// RestartJournal drops all frames: they are those of another origin.
func (s *Store) RestartJournal() {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	s.journal.restart()
	for i := range s.shards {
		sh := &s.shards[i]
		sh.Lock()
		sh.lastFrame = 0
		sh.Unlock()
	}
}
