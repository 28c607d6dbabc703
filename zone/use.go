package zone

// This file keeps each shard's records in the order of their use, and finds what to give up when the zone is full.

// Use makes a record the most recently used one.
func (sh *Shard) Use(slot Slot, r *Record, monoMS int64) {
	r.setTurn(sh.store.turn(monoMS))
	if sh.newest != slot {
		sh.unlinkUse(slot, r)
		r.older, r.newer = sh.newest, 0
		if sh.newest != 0 {
			sh.at(sh.newest).newer = slot
		}
		sh.newest = slot
		if sh.oldest == 0 {
			sh.oldest = slot
		}
	}
	if sh.oldest == slot {
		sh.publishOldest()
	}
}

// unlinkUse takes a record out of the order; one that is not in it stays as it is.
func (sh *Shard) unlinkUse(slot Slot, r *Record) {
	if r.older == 0 && r.newer == 0 && sh.oldest != slot {
		return
	}
	if r.newer != 0 {
		sh.at(r.newer).older = r.older
	} else {
		sh.newest = r.older
	}
	if r.older != 0 {
		sh.at(r.older).newer = r.newer
	} else {
		sh.oldest = r.newer
		sh.publishOldest()
	}
	r.older, r.newer = 0, 0
}

// oldestKnown marks a shard that has an oldest record; the low bits are its turn.
const oldestKnown = 1 << turnBits

// publishOldest lets makeRoom of other shards see how old the least recently used record here is.
func (sh *Shard) publishOldest() {
	var value uint64
	if sh.oldest != 0 {
		value = oldestKnown | sh.at(sh.oldest).turn()
	}
	sh.store.oldest[sh.number].Store(value)
}

// Oldest is the least recently used record, or zero.
func (sh *Shard) Oldest() Slot { return sh.oldest }

// Newer is the record used next after a given one, or zero.
func (sh *Shard) Newer(slot Slot) Slot { return sh.at(slot).newer }

// The bounds of one search for room. Records that wait to be sent are passed over, so a long run of these must not
// hold up a request.
const (
	evictShards  = 8
	evictScan    = 16
	evictRecords = 64
)

// reserve takes cost from the budget, giving up the least recently used records of the whole zone if evict is set.
// The caller holds the lock of own; locks of other shards are only tried, so no two can wait for each other.
func (s *Store) reserve(own *Shard, cost, limit int64, evict bool, monoMS int64) bool {
	for range evictRecords {
		if used := s.used.Add(cost); used <= limit {
			return true
		}
		s.used.Add(-cost)
		if !evict || cost > limit || !s.evictOne(own, monoMS) {
			return false
		}
	}
	return false
}

// evictOne removes the least recently used record that does not wait to be sent.
func (s *Store) evictOne(own *Shard, monoMS int64) bool {
	var tried [Shards / 64]uint64
	now := s.turn(monoMS)
	for range evictShards {
		best, bestIdle := -1, int64(-1)
		for i := range s.oldest {
			value := s.oldest[i].Load()
			if value == 0 || tried[i/64]&(1<<(i%64)) != 0 {
				continue
			}
			if idle := int64((now - value) & turnMask); idle > bestIdle {
				best, bestIdle = i, idle
			}
		}
		if best < 0 {
			return false
		}
		tried[best/64] |= 1 << (best % 64)
		sh := &s.shards[best]
		if sh != own && !sh.TryLock() {
			continue
		}
		done := sh.evictOldest()
		if sh != own {
			sh.Unlock()
		}
		if done {
			s.evicted.Add(1)
			return true
		}
	}
	return false
}

func (sh *Shard) evictOldest() bool {
	slot := sh.oldest
	for range evictScan {
		if slot == 0 {
			return false
		}
		if r := sh.at(slot); !r.Dirty() && r.state&statePinned == 0 {
			sh.Remove(slot)
			return true
		}
		slot = sh.at(slot).newer
	}
	return false
}
