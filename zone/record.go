package zone

import (
	"bytes"
	"hash/maphash"
	"sync"

	"starling/lib/stamp"
)

// Slot names a record inside its shard; zero is none.
type Slot uint32

// Record is the fixed part of one record. It holds no pointers, so millions cost the garbage collector nothing.
// Key and value are in the shard's blob.
type Record struct {
	// Word0 and Word1 belong to the kind: stamp and expiry, or level and time of the last accounting.
	Word0, Word1 uint64

	blobAt       uint32
	valueBytes   uint32
	older, newer Slot // by last use
	wheelNext    Slot // for buckets, which do not expire: costs not yet in a frame
	wheelPrev    Slot
	usedMS       uint32 // low bits of the monotonic clock at the last use
	keyBytes     uint16
	state        uint8
	usedRank     uint8 // below usedMS, see turn
	// Born belongs to the kind, like the words. With it, a record has 48 bytes, which RecordBytes includes.
	Born uint32
}

const (
	stateDirty     = 1 << iota // on the dirty list
	stateTombstone             // not counted among the records
	stateWheel                 // in the wheel
	stateLive                  // in the index; clear on free slots
	statePinned                // must not be evicted now
	stateRestored              // see SetRestored
)

// Unsent is the number of requests charged here since the last flush. Only for kinds that do not expire.
func (r *Record) Unsent() *uint32 { return (*uint32)(&r.wheelNext) }

// Tombstone reports whether the record marks a deletion.
func (r *Record) Tombstone() bool { return r.state&stateTombstone != 0 }

// Dirty reports whether the record waits to be sent.
func (r *Record) Dirty() bool { return r.state&stateDirty != 0 }

// Restored marks a record that comes from an earlier process and was not written since.
func (r *Record) Restored() bool { return r.state&stateRestored != 0 }

// SetRestored notes that.
func (r *Record) SetRestored(restored bool) {
	r.state &^= stateRestored
	if restored {
		r.state |= stateRestored
	}
}

// UsedMS is the monotonic time of the last use, relative to one that is less than 24 days away.
func (r *Record) UsedMS(nearMS int64) int64 { return nearMS - int64(int32(uint32(nearMS)-r.usedMS)) }

// SetUsedMS sets another time of the last use without changing the order.
func (r *Record) SetUsedMS(monoMS int64) { r.usedMS = uint32(monoMS) }

// IdleMS returns the time since the last use of the record (up to 49 days). A turn can be slightly ahead of the clock.
func (r *Record) IdleMS(monoMS int64) int64 {
	const aheadMS = 1 << 20
	if idle := uint32(monoMS) - r.usedMS; idle < 1<<32-aheadMS {
		return int64(idle)
	}
	return 0
}

// RecordBytes is the overhead of a record in the zone's budget: the record and its share of the index.
const RecordBytes = 48 + 16

// MaxKeyBytes is the longest key; nginx has the same bound for limits.
const MaxKeyBytes = 65535

// CostBytes returns the size of a record with this key and value in the zone's budget.
func CostBytes(keyBytes, valueBytes int) int64 {
	_, size := blobSize(keyBytes + valueBytes)
	return int64(RecordBytes + size)
}

// Shard is one of the 256 parts of a zone, with its own lock. All methods require the lock to be held.
type Shard struct {
	sync.Mutex
	store  *Store
	number int

	slab  []Record // slot n is slab[n-1]
	freed Slot     // chain through older
	index index
	blob  blob

	order [orders]order
	// passed is the last of the tombstones at the beginning of their order that were found to be needed most, 0 if
	// none; passedFor is when: see oldestNeeded.
	passed    Slot
	passedFor uint32

	wheel *wheel
	dirty []Slot
	live  int
	pins  int    // visitors that go slot by slot, see Pin
	moves uint32 // how often records have moved to other slots

	clear      stamp.Stamp
	clearDirty bool
	digest     uint64
	changes    uint64  // of digest
	sketch     *Sketch // of the zone, if the shard's elements are in it
	lastFrame  uint64  // of the journal, with a change of this shard
}

// slabFirst is small because a zone of 32k spreads over 256 shards.
const slabFirst = 2

func (sh *Shard) at(slot Slot) *Record { return &sh.slab[slot-1] }

// Number is the shard's number.
func (sh *Shard) Number() int { return sh.number }

// LastFrame is the last frame of the journal that has changes of this shard, 0 for none.
func (sh *Shard) LastFrame() uint64 { return sh.lastFrame }

// At returns a record by its slot. The pointer is valid until the next Insert into the shard, the slot until the lock
// is released: see Pin.
func (sh *Shard) At(slot Slot) *Record { return sh.at(slot) }

// Key returns the record's key, in the shard's memory.
func (sh *Shard) Key(r *Record) []byte {
	at := int(r.blobAt) * blobUnit
	return sh.blob.bytes[at : at+int(r.keyBytes) : at+int(r.keyBytes)]
}

// Value returns the record's value, in the shard's memory.
func (sh *Shard) Value(r *Record) []byte {
	at := int(r.blobAt)*blobUnit + int(r.keyBytes)
	return sh.blob.bytes[at : at+int(r.valueBytes) : at+int(r.valueBytes)]
}

func (sh *Shard) tag(key []byte) uint32 { return uint32(maphash.Bytes(sh.store.seed, key)) }

// Find returns the record of a key, or nil.
func (sh *Shard) Find(key []byte) (Slot, *Record) {
	if sh.index.used == 0 {
		return 0, nil
	}
	return sh.find(sh.tag(key), key)
}

func (sh *Shard) find(tag uint32, key []byte) (Slot, *Record) {
	entries, mask := sh.index.entries, sh.index.mask()
	for at := tag & mask; entries[at] != 0; at = (at + 1) & mask {
		if uint32(entries[at]>>32) == tag {
			slot := Slot(entries[at])
			if r := sh.at(slot); int(r.keyBytes) == len(key) && bytes.Equal(sh.Key(r), key) {
				return slot, r
			}
		}
	}
	return 0, nil
}

// insert adds a record whose key is not in the shard and whose cost was reserved.
func (sh *Shard) insert(key, value []byte) (Slot, *Record) {
	slot := sh.freed
	if slot != 0 {
		sh.freed = sh.at(slot).older
	} else {
		if len(sh.slab) == cap(sh.slab) {
			sh.growSlab(len(sh.slab) + 1)
		}
		sh.slab = sh.slab[:len(sh.slab)+1]
		slot = Slot(len(sh.slab))
	}
	r := sh.at(slot)
	*r = Record{state: stateLive, blobAt: blobNone, keyBytes: uint16(len(key)), valueBytes: uint32(len(value))}
	sh.compactIfSparse()
	r.blobAt = sh.blob.alloc(len(key) + len(value))
	copy(sh.Key(r), key)
	copy(sh.Value(r), value)
	sh.index.insert(sh.tag(key), slot)
	sh.live++
	sh.store.records.Add(1)
	return slot, r
}

func (sh *Shard) growSlab(need int) {
	grown := make([]Record, len(sh.slab), growTo(cap(sh.slab), need, slabFirst))
	copy(grown, sh.slab)
	sh.slab = grown
}

// Expect makes room for n more records at once, so that a taught shard does not grow step by step.
func (sh *Shard) Expect(n int) {
	n = min(n, int((sh.store.Limit()-sh.store.live.Load())/RecordBytes))
	if n <= 0 {
		return
	}
	if need := len(sh.slab) + n; need > cap(sh.slab) {
		sh.growSlab(need)
	}
	sh.index.grow(sh.index.used + n)
}

// compactIfSparse copies the used parts if most of the blob is unused.
func (sh *Shard) compactIfSparse() {
	if !sh.blob.sparse() {
		return
	}
	old := sh.blob
	sh.blob = blob{bytes: make([]byte, 0, len(old.bytes)-old.idle+blobFirst)}
	for i := range sh.slab {
		r := &sh.slab[i]
		if r.state&stateLive == 0 || r.blobAt == blobNone {
			continue
		}
		n := int(r.keyBytes) + int(r.valueBytes)
		from := int(r.blobAt) * blobUnit
		r.blobAt = sh.blob.alloc(n)
		copy(sh.blob.bytes[int(r.blobAt)*blobUnit:], old.bytes[from:from+n])
	}
}

// blobNone marks a record that is between two pieces of the blob.
const blobNone = 1<<32 - 1

// setValue replaces the value of a record. The difference in cost was reserved.
func (sh *Shard) setValue(r *Record, value []byte) {
	before, after := int(r.keyBytes)+int(r.valueBytes), int(r.keyBytes)+len(value)
	oldClass, _ := blobSize(before)
	if newClass, _ := blobSize(after); newClass != oldClass {
		key := sh.Key(r)
		fresh := sh.blob.alloc(after) // can move the slice; key still reads the old one
		copy(sh.blob.bytes[int(fresh)*blobUnit:], key)
		sh.blob.release(r.blobAt, before)
		r.blobAt = fresh
	}
	r.valueBytes = uint32(len(value))
	copy(sh.Value(r), value)
}

// Remove frees a record that does not wait to be sent.
func (sh *Shard) Remove(slot Slot) {
	r := sh.at(slot)
	key := sh.Key(r)
	sh.store.keeper.Forget(sh, r, key)
	sh.index.remove(sh.tag(key), slot)
	if r.state&stateWheel != 0 {
		sh.wheelRemove(r)
	}
	sh.unlinkUse(slot, r)
	n := int(r.keyBytes) + int(r.valueBytes)
	if cost := CostBytes(int(r.keyBytes), int(r.valueBytes)); r.Tombstone() {
		sh.store.graves.Add(-cost)
		sh.store.tombs.Add(-1)
	} else {
		sh.store.live.Add(-cost)
		sh.store.records.Add(-1)
	}
	sh.blob.release(r.blobAt, n)
	*r = Record{older: sh.freed}
	sh.freed = slot
	sh.live--
	if sh.live == 0 && len(sh.dirty) == 0 {
		sh.reset()
	}
}

// reset frees the memory of an empty shard.
func (sh *Shard) reset() {
	sh.slab, sh.freed, sh.index, sh.blob, sh.wheel = nil, 0, index{}, blob{}, nil
	sh.passed = 0
}

// setDead turns a record into a tombstone or back. The caller accounts for its bytes.
func (sh *Shard) setDead(slot Slot, r *Record, dead bool) {
	if dead == r.Tombstone() {
		return
	}
	sh.unlinkUse(slot, r) // of the order that it leaves
	r.state ^= stateTombstone
	one := int64(1)
	if dead {
		one = -1
	}
	sh.store.records.Add(one)
	sh.store.tombs.Add(-one)
}

// Due places the record in the timer wheel. Zero removes it: it never ends. If the end moves later, this is noticed at
// the old one.
func (sh *Shard) Due(slot Slot, r *Record, oldMS, dueMS, nowMS int64) {
	inWheel := r.state&stateWheel != 0
	if inWheel && dueMS != 0 && oldMS != 0 && dueMS >= oldMS {
		return
	}
	if inWheel {
		sh.wheelRemove(r)
		r.state &^= stateWheel
	}
	if dueMS == 0 {
		return
	}
	if sh.wheel == nil {
		sh.wheel = &wheel{tick: nowMS / wheelTickMS}
	}
	sh.wheelPlace(slot, r, dueMS)
	r.state |= stateWheel
}

// Clear is the stamp at and below which the shard holds nothing.
func (sh *Shard) Clear() stamp.Stamp { return sh.clear }

// Len is the number of slots that Slots visits, free ones included.
func (sh *Shard) Len() int { return len(sh.slab) }

// Live reports whether a slot holds a record.
func (sh *Shard) Live(slot Slot) bool {
	return slot != 0 && int(slot) <= len(sh.slab) && sh.at(slot).state&stateLive != 0
}
