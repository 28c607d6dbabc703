// Package zone is the shared memory of starling: named, bounded in bytes, expiring, and merged with the same zone of
// other nodes. It stores records for the kinds (package zone/kinds), which define what records mean. DESIGN.md has the
// reasons.
package zone

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"starling/lib/clock"
	"starling/lib/stamp"
)

// Keeper is the interface of a kind to the store of its records.
type Keeper interface {
	// NewEncoder returns an encoder of the changes that frames carry. One frame is encoded by one encoder.
	NewEncoder() Encoder
	// DueMS is when a record ends on the monotonic clock, zero for never.
	DueMS(r *Record) int64
	// Forget is called under the shard's lock before a record is removed.
	Forget(sh *Shard, r *Record, key []byte)
	// Needed returns how much a tombstone is needed, up to MostNeeded: those needed least are evicted first.
	Needed(r *Record) int
	// GivenUp is called under the shard's lock when a tombstone is evicted.
	GivenUp(r *Record)
	// Framed is called with the sequence of each new frame, before any shard can be cut (see Store.Cut).
	Framed(sequence uint64, payload []byte, now clock.Reading)
	// Sweep removes useless records from one locked shard. Called by Tick.
	Sweep(sh *Shard, now clock.Reading)
}

// MostNeeded is a tombstone whose deleted record a member had when it was last known to have all.
const MostNeeded = 3

// Encoder writes the changes of one frame.
type Encoder interface {
	// Begin appends the head of a frame.
	Begin(dst []byte, now clock.Reading) []byte
	// AppendClear appends that the shard was cleared.
	AppendClear(dst []byte, cleared stamp.Stamp) []byte
	// AppendChange appends the changes of one record and resets them. It appends at most
	// len(key)+len(value)+MaxHeadBytes.
	AppendChange(dst []byte, r *Record, key, value []byte) []byte
}

// MaxHeadBytes bounds what an encoder adds to key and value of one record: five varints of ten bytes and some.
const MaxHeadBytes = 64

// GroupEnd follows the last record of a shard inside a frame. No record starts with it, because keys are never empty.
const GroupEnd byte = 0

// Store is the memory of one zone.
type Store struct {
	info   atomic.Pointer[Info] // replaced whole: see Describe
	sync   atomic.Bool          // changes are kept for the journal
	keeper Keeper
	limit  atomic.Int64
	// graveBytes is the room of tombstones besides the records.
	graveBytes atomic.Int64
	seed       maphash.Seed

	// live and graves are the bytes of records and of tombstones: see fits.
	live, graves             atomic.Int64
	records, tombs, pending  atomic.Int64
	arrivals                 atomic.Uint64 // a time in ms, and how many keys arrived in it
	evicted, refused, gaveUp atomic.Int64
	// incomplete means that records were evicted since the zone last grew.
	incomplete atomic.Bool
	lacks      [2]lack // local and foreign writes
	// outdatedMS is the time of the youngest frame that may contain a record whose tombstone was dropped; monotonic.
	outdatedMS           atomic.Int64
	ahead                atomic.Int64
	won, lost, forfeited atomic.Int64
	dirtyShards          [Shards / 64]atomic.Uint64
	oldest               [orders][Shards]atomic.Uint64
	swept                atomic.Uint32 // the shard of the last tombstone that a sweep evicted
	// inVain is for how many evictions no tombstone is looked for that is needed so little: there was none.
	inVain [MostNeeded]atomic.Int32
	// looks counts NeedChanged; passedFor invalidates what shards have passed.
	looks, passedFor atomic.Uint32
	wake             atomic.Pointer[func(urgent bool)]
	deliver          atomic.Pointer[func(Need) Delivery]
	ask              atomic.Pointer[func(key []byte, now clock.Reading) Waiting]

	flushMu    sync.Mutex // before any shard's lock
	encoder    Encoder
	frameBuf   []byte
	frameBytes int
	journal    Journal
	sums       sums

	shards [Shards]Shard
}

// NewStore makes an empty zone. With synced, changes are kept for the journal until Flush. An incarnation of zero is
// replaced by a random one.
func NewStore(info Info, synced bool, keeper Keeper) *Store {
	if info.Incarnation == 0 {
		info.Incarnation = rand.Uint64() | 1
	}
	s := &Store{keeper: keeper, seed: maphash.MakeSeed(), frameBytes: defaultFrameBytes}
	s.info.Store(&info)
	s.limit.Store(info.Bytes)
	s.graveBytes.Store(max(info.Bytes, minGraveBytes))
	s.sync.Store(synced)
	s.journal.resize(defaultFrames)
	var sketch *Sketch
	if synced && !info.Kind.Sums {
		sketch = NewSketch(sketchCellsFor(info.Bytes))
		s.sums.whole.Store(sketch)
	}
	for i := range s.shards {
		s.shards[i].store, s.shards[i].number, s.shards[i].sketch = s, i, sketch
	}
	return s
}

// Info describes the zone to peers.
func (s *Store) Info() Info { return *s.info.Load() }

// Synced reports whether changes go to the journal.
func (s *Store) Synced() bool { return s.sync.Load() }

// Journal is the ring of flushed frames.
func (s *Store) Journal() *Journal { return &s.journal }

// Resize changes the journal's ring and the size of its frames.
func (s *Store) Resize(frames, frameBytes int) {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	s.frameBytes = max(frameBytes, minFrameBytes)
	s.journal.resize(frames)
}

// OnDirty sets the callback, called without locks, for a change on an empty dirty list and for a Flush that leaves
// something behind.
func (s *Store) OnDirty(wake func(urgent bool)) {
	s.wake.Store(&wake)
	if s.pending.Load() > 0 {
		wake(false)
	}
}

// Wake wakes the flusher. No lock may be held.
func (s *Store) Wake(urgent bool) {
	if wake := s.wake.Load(); wake != nil {
		(*wake)(urgent)
	}
}

// Shard returns the shard of a key's hash, not locked.
func (s *Store) Shard(keyHash uint64) *Shard { return &s.shards[ShardOf(keyHash)] }

// ShardNumber returns a shard by its number, not locked.
func (s *Store) ShardNumber(n int) *Shard { return &s.shards[n] }

// Limit is the zone's budget in bytes.
func (s *Store) Limit() int64 { return s.limit.Load() }

// Insert adds a record for a key that is not in the shard, or returns zero if the budget (up to limit bytes of it) has
// no room.
func (s *Store) Insert(sh *Shard, key, value []byte, limit int64, evict bool, monoMS int64) (Slot, *Record) {
	if !s.reserve(sh, CostBytes(len(key), len(value)), limit, evict, monoMS) {
		return 0, nil
	}
	s.arrived(monoMS)
	return sh.insert(key, value)
}

// InsertTombstone adds a tombstone for a key that is not in the shard. It returns zero if records fill the budget: a
// tombstone replaces only older ones.
func (s *Store) InsertTombstone(sh *Shard, key []byte, monoMS int64) (Slot, *Record) {
	if !s.reserveGrave(sh, CostBytes(len(key), 0), monoMS) {
		return 0, nil
	}
	slot, r := sh.insert(key, nil)
	sh.setDead(slot, r, true)
	sh.Use(slot, r, monoMS)
	return slot, r
}

// Replace gives a record another value, and turns a tombstone into a record. It returns false if the budget has no
// room.
func (s *Store) Replace(sh *Shard, slot Slot, value []byte, limit int64, evict bool, monoMS int64) bool {
	r := sh.at(slot)
	before, after := CostBytes(int(r.keyBytes), int(r.valueBytes)), CostBytes(int(r.keyBytes), len(value))
	more := after - before
	if r.Tombstone() {
		s.graves.Add(-before)
		more = after
	}
	if more > 0 {
		r.state |= statePinned // the record itself must not be evicted for it
		ok := s.reserve(sh, more, limit, evict, monoMS)
		r.state &^= statePinned
		if !ok {
			if r.Tombstone() {
				s.graves.Add(before)
			}
			return false
		}
	} else {
		s.live.Add(more)
	}
	sh.setDead(slot, r, false)
	sh.setValue(r, value)
	return true
}

// Bury turns a record into a tombstone. It is not longer than the record, so it always has room.
func (s *Store) Bury(sh *Shard, slot Slot, monoMS int64) {
	r := sh.at(slot)
	before := CostBytes(int(r.keyBytes), int(r.valueBytes))
	if r.Tombstone() {
		s.graves.Add(-before)
	} else {
		s.live.Add(-before)
	}
	s.graves.Add(CostBytes(int(r.keyBytes), 0))
	sh.setValue(r, nil)
	sh.setDead(slot, r, true)
	sh.Use(slot, r, monoMS)
}

// MarkDirty puts a record on the dirty list once. It returns true if the zone had nothing to send before: the caller
// then calls Wake after unlocking.
func (sh *Shard) MarkDirty(slot Slot, r *Record) (first bool) {
	if !sh.store.sync.Load() || r.state&stateDirty != 0 {
		return false
	}
	r.state |= stateDirty
	sh.dirty = append(sh.dirty, slot)
	return sh.becameDirty()
}

func (sh *Shard) becameDirty() (first bool) {
	word, bit := &sh.store.dirtyShards[sh.number/64], uint64(1)<<(sh.number%64)
	if word.Load()&bit == 0 {
		word.Or(bit)
	}
	return sh.store.pending.Add(1) == 1
}

// ClearTo removes records stamped at or below cleared from the shard. With dirty, the journal gets it. stampOf reads a
// record's stamp. It reports whether to wake the flusher.
func (sh *Shard) ClearTo(cleared stamp.Stamp, dirty bool, stampOf func(*Record) stamp.Stamp) (first bool) {
	if cleared <= sh.clear {
		return false
	}
	if sh.clear != 0 {
		sh.Without(ClearOf(sh.number, sh.clear))
	}
	sh.With(ClearOf(sh.number, cleared))
	sh.clear = cleared
	kept := sh.dirty[:0]
	for _, slot := range sh.dirty {
		if r := sh.at(slot); stampOf(r) <= cleared {
			r.state &^= stateDirty
			sh.store.pending.Add(-1)
		} else {
			kept = append(kept, slot)
		}
	}
	sh.dirty = kept
	for i := len(sh.slab); i > 0; i-- {
		if slot := Slot(i); sh.Live(slot) && stampOf(sh.at(slot)) <= cleared {
			sh.Remove(slot)
		}
	}
	if dirty && sh.store.sync.Load() && !sh.clearDirty {
		sh.clearDirty = true
		return sh.becameDirty()
	}
	return false
}

// MoveClear gives the clear of the shard another stamp, possibly an older one. With dirty, the journal gets it. It
// reports whether to wake the flusher.
func (sh *Shard) MoveClear(cleared stamp.Stamp, dirty bool) (first bool) {
	sh.Instead(ClearOf(sh.number, sh.clear), ClearOf(sh.number, cleared))
	sh.clear = cleared
	if dirty && sh.store.sync.Load() && !sh.clearDirty {
		sh.clearDirty = true
		return sh.becameDirty()
	}
	return false
}

// Tick removes what ended.
func (s *Store) Tick(now clock.Reading) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.Lock()
		if sh.wheel != nil {
			sh.wheelAdvance(now.MonoMS, func(slot Slot, r *Record) {
				r.state &^= stateWheel
				due := s.keeper.DueMS(r)
				switch {
				case due == 0:
				case due <= now.MonoMS && !r.Dirty():
					sh.Remove(slot)
				default:
					sh.wheelPlace(slot, r, max(due, now.MonoMS))
					r.state |= stateWheel
				}
			})
		}
		s.keeper.Sweep(sh, now)
		sh.shrinkIfSparse()
		sh.Unlock()
	}
}

// Count adds to the counters of conflicts.
func (s *Store) Count(a Applied) {
	s.won.Add(int64(a.Won))
	s.lost.Add(int64(a.Lost))
	s.refused.Add(int64(a.Refused))
	s.ahead.Add(int64(a.Ahead))
}

// Forfeit counts forfeited costs, in 1/1000 request.
func (s *Store) Forfeit(milli int64) { s.forfeited.Add(milli) }

// Stats are the zone's figures.
func (s *Store) Stats() Stats {
	live, graves := s.live.Load(), s.graves.Load()
	return Stats{
		Records: s.records.Load(), Pending: s.pending.Load(), Bytes: live + graves, RecordBytes: live,
		Tombstones: s.tombs.Load(), TombstoneBytes: graves, GaveUp: s.gaveUp.Load(),
		Full:    s.incomplete.Load() || s.LacksRoom(),
		Evicted: s.evicted.Load(), Refused: s.refused.Load(), Ahead: s.ahead.Load(),
		Won: s.won.Load(), Lost: s.lost.Load(), Forfeited: s.forfeited.Load(),
	}
}
