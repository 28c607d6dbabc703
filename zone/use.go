package zone

// This file keeps each shard's records in the order of their use and its tombstones in the order of their arrival, and
// selects evictions when the zone is full.

// order is a list of records through older and newer.
type order struct{ oldest, newest Slot }

// A shard has two orders.
const (
	orderOfUse    = iota // of records, if the kind calls Use
	orderOfGraves        // of tombstones
	orders
)

func orderOf(r *Record) int {
	if r.Tombstone() {
		return orderOfGraves
	}
	return orderOfUse
}

// Use makes a record the most recently used one.
func (sh *Shard) Use(slot Slot, r *Record, monoMS int64) {
	r.setTurn(sh.store.turn(monoMS))
	which := orderOf(r)
	o := &sh.order[which]
	if o.newest != slot {
		sh.unlinkUse(slot, r)
		r.older, r.newer = o.newest, 0
		if o.newest != 0 {
			sh.at(o.newest).newer = slot
		}
		o.newest = slot
		if o.oldest == 0 {
			o.oldest = slot
		}
	}
	if o.oldest == slot {
		sh.publishOldest(which)
	}
}

// unlinkUse removes a record from its order; a record that is in none is unchanged.
func (sh *Shard) unlinkUse(slot Slot, r *Record) {
	which := orderOf(r)
	o := &sh.order[which]
	if r.older == 0 && r.newer == 0 && o.oldest != slot {
		return
	}
	if sh.passed == slot {
		sh.passed = r.older
	}
	if r.newer != 0 {
		sh.at(r.newer).older = r.older
	} else {
		o.newest = r.older
	}
	if r.older != 0 {
		sh.at(r.older).newer = r.newer
	} else {
		o.oldest = r.newer
		sh.publishOldest(which)
	}
	r.older, r.newer = 0, 0
}

// Unlist takes a record out of its order, if it is in one: until the next Use, it is not evicted.
func (sh *Shard) Unlist(slot Slot, r *Record) { sh.unlinkUse(slot, r) }

// oldestKnown marks a shard that has an oldest record; the low bits are its turn.
const oldestKnown = 1 << turnBits

// publishOldest publishes the age of the least recently used record of an order here, for evictOne of other shards.
func (sh *Shard) publishOldest(which int) {
	var value uint64
	if oldest := sh.order[which].oldest; oldest != 0 {
		value = oldestKnown | sh.at(oldest).turn()
	}
	sh.store.oldest[which][sh.number].Store(value)
}

// Oldest is the least recently used record, or zero.
func (sh *Shard) Oldest() Slot { return sh.order[orderOfUse].oldest }

// OldestTombstone is the first of the remaining tombstones, or zero; Newer gives the next one.
func (sh *Shard) OldestTombstone() Slot { return sh.order[orderOfGraves].oldest }

// Newer is the record used next after a given one, or zero.
func (sh *Shard) Newer(slot Slot) Slot { return sh.at(slot).newer }

// The bounds of one search for room. Records that wait to be sent are skipped, so a long run of these must not delay a
// request.
const (
	evictShards  = 8
	evictScan    = 16
	evictRecords = 64
	// sweepScan is for tombstones that the oldest shards do not have, besides those that are passed: it covers all
	// those of a small zone, 13,000 in 256 shards.
	sweepScan = 64
	// passScan bounds how many of the tombstones needed most one search passes in a shard: a tenth of a millisecond.
	// The next one continues there.
	passScan = 4096
)

// reserve takes cost from the budget of records, which can have up to limit bytes. It evicts tombstones, and least
// recently used records if evict is set. The caller holds the lock of own; locks of other shards are only tried, so no
// two callers can wait for each other.
func (s *Store) reserve(own *Shard, cost, limit int64, evict bool, monoMS int64) bool {
	for evicted := 0; cost <= limit; {
		live := s.live.Add(cost)
		if live <= limit {
			if s.fits(own, monoMS) {
				return true
			}
			s.live.Add(-cost)
			return false // tombstones wait to be sent, or other goroutines hold the locks: no reason to drop a record
		}
		s.live.Add(-cost)
		if !evict || evicted == evictRecords || !s.evictOne(orderOfUse, own, monoMS, (*Shard).evictOldest) {
			return false
		}
		s.evicted.Add(1)
		s.incomplete.Store(true)
		evicted++
	}
	return false
}

// reserveGrave takes cost from the budget for a tombstone.
func (s *Store) reserveGrave(own *Shard, cost, monoMS int64) bool {
	if s.graves.Add(cost); s.fits(own, monoMS) {
		return true
	}
	s.graves.Add(-cost)
	return false
}

// minGraveBytes is the room for tombstones besides the records of a small zone: some 13,000, as many as a busy zone
// deletes until all members have noticed that one of them is disconnected.
const minGraveBytes = 1 << 20

// Budget limits records and tombstones together: tombstones get as much again as the zone has. Otherwise a write to a
// full zone during the absence of a member would evict a deletion that the member needs.
func (s *Store) Budget() int64 { return s.limit.Load() + s.graveBytes.Load() }

// LimitTombstones sets another limit for tombstones; 0 leaves the default. Called before the zone is used.
func (s *Store) LimitTombstones(bytes int64) {
	if bytes > 0 {
		s.graveBytes.Store(bytes)
	}
}

const (
	// vainEvictions is for how many evictions a search that found nothing is not repeated, because it visits every
	// tombstone of a small zone. NeedChanged ends that.
	vainEvictions = 256
	// passedPerLook is how many tombstones are looked at again after each NeedChanged, because fewer may be needed most
	// now; if there are more, after some of them only. It costs a few milliseconds of each 100.
	passedPerLook = 100_000
)

// NeedChanged tells that tombstones may be needed less or more than before.
func (s *Store) NeedChanged() {
	for i := range s.inVain {
		s.inVain[i].Store(0)
	}
	if int64(s.looks.Add(1))%(1+s.tombs.Load()/passedPerLook) == 0 {
		s.passedFor.Add(1)
	}
}

// fits evicts tombstones until records and tombstones together have room: the oldest of those needed least.
func (s *Store) fits(own *Shard, monoMS int64) bool {
	for needed := 0; s.live.Load()+s.graves.Load() > s.Budget(); {
		switch {
		case needed > MostNeeded:
			return false
		case needed < MostNeeded && s.inVain[needed].Load() > 0:
			s.inVain[needed].Add(-1)
			needed++
		case s.evictOne(orderOfGraves, own, monoMS, giveUp(needed, evictScan)):
		case needed == MostNeeded:
			needed++
		case !s.sweep(own, monoMS, giveUp(needed, sweepScan)):
			s.inVain[needed].Store(vainEvictions)
			needed++
		}
	}
	return true
}

// evictOne evicts one record of the shard with the oldest record of an order, or of the next shard if that is
// impossible.
func (s *Store) evictOne(which int, own *Shard, monoMS int64, giveUp func(sh *Shard, monoMS int64) bool) bool {
	var tried [Shards / 64]uint64
	now := s.turn(monoMS)
	for range evictShards {
		best, bestIdle := -1, int64(-1)
		for i := range s.oldest[which] {
			value := s.oldest[which][i].Load()
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
		if s.evictFrom(&s.shards[best], own, monoMS, giveUp) {
			return true
		}
	}
	return false
}

// evictFrom evicts one record of a shard. Its lock is only tried, unless it is own, which the caller has locked.
func (s *Store) evictFrom(sh, own *Shard, monoMS int64, giveUp func(sh *Shard, monoMS int64) bool) bool {
	if sh == own {
		return giveUp(sh, monoMS)
	}
	if !sh.TryLock() {
		return false
	}
	defer sh.Unlock()
	return giveUp(sh, monoMS)
}

// sweep evicts one tombstone of any shard, because the shards with the oldest ones have only tombstones that are needed
// more. These stay the oldest while a member is disconnected. It continues where the last sweep found one.
func (s *Store) sweep(own *Shard, monoMS int64, giveUp func(sh *Shard, monoMS int64) bool) bool {
	first := s.swept.Load()
	for i := range uint32(Shards) {
		number := (first + i) % Shards
		if s.oldest[orderOfGraves][number].Load() == 0 {
			continue
		}
		if s.evictFrom(&s.shards[number], own, monoMS, giveUp) {
			s.swept.Store(number)
			return true
		}
	}
	return false
}

// evictOldest removes the least recently used record that does not wait to be sent.
func (sh *Shard) evictOldest(int64) bool {
	slot := sh.firstOf(orderOfUse, evictScan, func(*Record) bool { return true })
	if slot != 0 {
		sh.Remove(slot)
	}
	return slot != 0
}

// giveUp evicts a shard's oldest tombstone that is not needed more than that, among the first scan.
func giveUp(needed, scan int) func(sh *Shard, monoMS int64) bool {
	return func(sh *Shard, monoMS int64) bool {
		slot := sh.oldestNeeded(needed, scan)
		if slot == 0 {
			return false
		}
		sh.store.keeper.GivenUp(sh.at(slot))
		sh.store.gaveUp.Add(1)
		sh.store.outdate(monoMS)
		sh.Remove(slot)
		return true
	}
}

// oldestNeeded is the oldest tombstone that can be evicted and is not needed more than that, among the first scan. It
// passes those needed most at the beginning once in a while: after the deletion of a zone's whole content, there can be
// thousands in a shard, for as long as a member is disconnected.
func (sh *Shard) oldestNeeded(needed, scan int) Slot {
	if needed == MostNeeded {
		return sh.firstOf(orderOfGraves, scan, func(*Record) bool { return true })
	}
	keeper := sh.store.keeper
	if now := sh.store.passedFor.Load(); sh.passedFor != now {
		sh.passed, sh.passedFor = 0, now
	}
	slot := sh.order[orderOfGraves].oldest
	if sh.passed != 0 {
		slot = sh.at(sh.passed).newer
	}
	for range passScan {
		if slot == 0 || keeper.Needed(sh.at(slot)) < MostNeeded {
			break
		}
		sh.passed, slot = slot, sh.at(slot).newer
	}
	return sh.firstFrom(slot, scan, func(r *Record) bool { return keeper.Needed(r) <= needed })
}

// firstOf is the oldest record of an order that can be evicted, among the first scan.
func (sh *Shard) firstOf(which, scan int, may func(r *Record) bool) Slot {
	return sh.firstFrom(sh.order[which].oldest, scan, may)
}

// firstFrom is the same from a record on.
func (sh *Shard) firstFrom(slot Slot, scan int, may func(r *Record) bool) Slot {
	for range scan {
		if slot == 0 {
			break
		}
		if r := sh.at(slot); !r.Dirty() && r.state&statePinned == 0 && may(r) {
			return slot
		}
		slot = sh.at(slot).newer
	}
	return 0
}

// outdate notes that frames flushed until then could restore deleted records on late peers.
func (s *Store) outdate(monoMS int64) {
	for {
		before := s.outdatedMS.Load()
		if monoMS <= before || s.outdatedMS.CompareAndSwap(before, monoMS) {
			return
		}
	}
}

// ForgetTombstones removes the tombstones for which done returns true, in the order of their arrival, up to the first
// that stays, except those to be kept. Frames flushed until sinceMonoMS may contain what they deleted.
func (s *Store) ForgetTombstones(
	sinceMonoMS int64,
	done func(r *Record) bool,
	keep func(sh *Shard, r *Record) bool,
) (forgotten int) {
	for i := range s.shards {
		sh := &s.shards[i]
		if s.oldest[orderOfGraves][i].Load() == 0 {
			continue
		}
		sh.Lock()
		for slot := sh.order[orderOfGraves].oldest; slot != 0 && done(sh.at(slot)); {
			next := sh.at(slot).newer
			if r := sh.at(slot); !r.Dirty() && !keep(sh, r) {
				s.outdate(sinceMonoMS)
				sh.Remove(slot)
				forgotten++
			}
			slot = next
		}
		sh.Unlock()
	}
	return forgotten
}

// Outdated reports whether a frame flushed then may contain records whose tombstone was dropped since: it must not be
// sent to late peers.
func (s *Store) Outdated(flushedMonoMS int64) bool {
	outdatedMS := s.outdatedMS.Load()
	return outdatedMS != 0 && flushedMonoMS <= outdatedMS
}
