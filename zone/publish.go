package zone

// A zone that only this process uses keeps no journal. While the process is replaced by another one, the two share it
// like nodes of a cluster, and it is published: its changes are kept for the journal.

// Publish starts to keep changes for the journal. What is in the zone already is taught.
func (s *Store) Publish() { s.sync.Store(true) }

// Unpublish ends that: changes that were not flushed are dropped from the dirty lists, and the tombstones, which no
// peer needs any more, from the shards. A Flush must have returned since the last change that peers need.
func (s *Store) Unpublish() {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	s.sync.Store(false)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.Lock()
		sh.forgetChanges()
		sh.Unlock()
		s.dirtyShards[i/64].And(^(uint64(1) << (i % 64)))
	}
}

// forgetChanges empties the dirty list of a locked shard and drops its tombstones.
func (sh *Shard) forgetChanges() {
	waiting := int64(len(sh.dirty))
	if sh.clearDirty {
		sh.clearDirty = false
		waiting++
	}
	for _, slot := range sh.dirty {
		r := sh.at(slot)
		r.state &^= stateDirty
		if sh.store.info.Kind.Sums {
			*r.Unsent() = 0
		}
	}
	sh.dirty = nil
	sh.store.pending.Add(-waiting)
	for i := len(sh.slab); i > 0; i-- {
		if slot := Slot(i); sh.Live(slot) && sh.at(slot).Tombstone() {
			sh.Remove(slot)
		}
	}
}
