package kinds

import (
	"cmp"

	"starling/lib/clock"
	"starling/zone"
)

// Batch is a number of local writes that wait for the disk once, together. Each is in memory, and in flight to the
// peers, as soon as it is made; none is acknowledged before Commit has returned nil. A batch belongs to one goroutine.
type Batch struct {
	zone    *Keyval
	now     clock.Reading
	encoder registerEncoder
	record  []byte
	wait    func() error // of the last record passed to the keeper, and so of all before it
	failed  error        // the first record that the keeper did not accept
}

// batchPieceBytes is the size from which the record of a batch is passed on. It is small because a write must reach the
// log soon after memory: restamping in between precedes it in the log. And a reader of the log expects a record to be
// of one shard, and makes room for all of it there.
const batchPieceBytes = 4 << 10

// Batch starts a number of writes with one time.
func (k *Keyval) Batch(now clock.Reading) *Batch {
	return &Batch{zone: k, now: now, encoder: registerEncoder{zone: &k.registers}}
}

// Add writes a pair that must not exist: ErrExists. Otherwise it fails like Keyval.Set, except for the disk.
func (b *Batch) Add(key, value []byte, expireMS int64) error {
	return b.write(key, value, expireMS, absent)
}

// LocalLimit is the size up to which the zone accepts local pairs. The last eighth is reserved for those of peers,
// which nothing could reject.
func (k *Keyval) LocalLimit() int64 { return k.store.Limit() / 8 * 7 }

type condition uint8

const (
	always condition = iota
	absent
	present
)

func (b *Batch) write(key, value []byte, expireMS int64, when condition) error {
	k, now := b.zone, b.now
	key, err := k.canonical(key)
	if err != nil {
		return err
	}
	if len(value) > k.maxValue {
		return ErrTooLong
	}
	if expireMS == NoExpire {
		expireMS = k.timeoutMS.Load()
	}
	w := write{value: value}
	if expireMS > 0 {
		w.endMS = now.MonoMS + expireMS
	}
	hash := zone.KeyHash(key)
	limit, cost := k.LocalLimit(), zone.CostBytes(len(key), len(value))
	err = b.tryWrite(hash, key, &w, limit, when)
	for range roomAttempts {
		if err != ErrFull || !k.makeRoom(cost, limit, now) {
			break
		}
		err = b.tryWrite(hash, key, &w, limit, when)
	}
	if err == ErrFull {
		k.store.Lacked(zone.Local, cost, limit)
	}
	if err == nil {
		b.keep(zone.ShardOf(hash), key, &w)
	}
	return err
}

func (b *Batch) tryWrite(hash uint64, key []byte, w *write, limit int64, when condition) error {
	k, now := b.zone, b.now
	sh := k.store.Shard(hash)
	sh.Lock()
	slot, r := k.findLive(sh, key, now)
	if (when == absent && r != nil) || (when == present && r == nil) {
		sh.Unlock()
		if when == absent {
			return ErrExists
		}
		return ErrNotFound
	}
	var old *zone.Record
	if slot != 0 {
		old = sh.At(slot)
	}
	k.stampWrite(sh, hash, w, old, now)
	did, slot := k.put(sh, hash, key, w, room{bytes: limit}, now)
	first := did == won && sh.MarkDirty(slot, sh.At(slot))
	sh.Unlock()
	if first {
		k.store.Wake(false)
	}
	if did != won {
		return ErrFull
	}
	return nil
}

// Delete removes a pair on all nodes, or returns ErrNotFound.
func (b *Batch) Delete(key []byte) error {
	k, now := b.zone, b.now
	key, err := k.canonical(key)
	if err != nil {
		return err
	}
	hash := zone.KeyHash(key)
	sh := k.store.Shard(hash)
	sh.Lock()
	slot, r := k.findLive(sh, key, now)
	if r == nil {
		sh.Unlock()
		return ErrNotFound
	}
	gone := write{tombstone: true}
	k.stampWrite(sh, hash, &gone, r, now)
	first := k.remove(sh, hash, key, slot, r, &gone, now)
	sh.Unlock()
	if first {
		k.store.Wake(false)
	}
	b.keep(sh.Number(), key, &gone)
	return nil
}

// keep adds a write to the record for the keeper of the zone's state.
func (b *Batch) keep(shard int, key []byte, w *write) {
	if b.zone.kept.Load() == nil {
		return
	}
	if len(b.record) == 0 {
		b.record = b.encoder.Begin(b.record, b.now)
	}
	b.record = b.encoder.appendWrite(append(b.record, byte(shard)), key, w)
	b.record = append(b.record, zone.GroupEnd)
	if len(b.record) >= batchPieceBytes {
		b.handOn()
	}
}

func (b *Batch) handOn() {
	kept := b.zone.kept.Load()
	if kept == nil {
		return // a reload has removed the state meanwhile
	}
	wait, err := kept.local(b.record)
	b.wait, b.failed = wait, cmp.Or(b.failed, err)
	b.record = b.record[:0]
}

// Commit waits until all writes of the batch are on disk, if the zone has state. If it fails, they are in memory, but a
// crash may lose them.
func (b *Batch) Commit() error {
	if len(b.record) > 0 {
		b.handOn()
	}
	if b.failed != nil || b.wait == nil {
		return b.failed
	}
	return b.wait()
}
