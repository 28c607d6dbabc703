package kinds

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// A payload of registers, the same for a frame, a taught piece and a record of a state log:
//
//	format 1 | base ms | timeout ms | groups
//	group   shard byte | records | 0
//	record  key length*4 + tombstone + 2*ends | key | stamp ms - base | counter | [end - stamp ms - timeout] | value
//	        1 (a key of no length with a tombstone) | stamp: the shard was cleared
//	value   length | bytes; of sessions: 0 | length | bytes for a new one, n for the nth of this payload;
//	        none for tombstones
//
// The first stamp of a restamped record comes before it (appendFirst).
// All numbers are varints, differences zigzag. Base and ends are on the sender's monotonic clock, which started at its
// wall clock; stamps are in cluster time.
const (
	registerFormat byte = 1
	// Bits of a record's head.
	headTombstone = 1
	headEnds      = 2
	headClear     = 1
	// maxDictionary bounds the search for a value in the dictionary of one payload.
	maxDictionary = 32
)

type registerEncoder struct {
	zone      *registers
	baseMS    int64
	timeoutMS int64
	values    [maxDictionary][]byte
	known     int
}

// NewEncoder returns an encoder of changes.
func (g *registers) NewEncoder() zone.Encoder { return &registerEncoder{zone: g} }

// Begin appends the head of a payload.
func (e *registerEncoder) Begin(dst []byte, now clock.Reading) []byte {
	return e.beginAt(dst, max(now.MonoMS, 0), max(e.zone.timeoutMS.Load(), 0))
}

func (e *registerEncoder) beginAt(dst []byte, baseMS, timeoutMS int64) []byte {
	e.baseMS, e.timeoutMS, e.known = baseMS, timeoutMS, 0
	dst = append(dst, registerFormat)
	dst = binary.AppendUvarint(dst, uint64(e.baseMS))
	return binary.AppendUvarint(dst, uint64(e.timeoutMS))
}

// AppendClear appends the clear of the shard.
func (e *registerEncoder) AppendClear(dst []byte, cleared stamp.Stamp) []byte {
	return e.appendStamp(append(dst, headClear), cleared)
}

func (e *registerEncoder) appendStamp(dst []byte, s stamp.Stamp) []byte {
	dst = binary.AppendVarint(dst, s.MS()-e.baseMS)
	return binary.AppendUvarint(dst, uint64(s.Counter()))
}

// AppendChange appends the whole state of a record.
func (e *registerEncoder) AppendChange(dst []byte, r *zone.Record, key, value []byte) []byte {
	w := write{stamp: stamp.Stamp(r.Word0), tombstone: r.Tombstone(), value: value}
	if !w.tombstone {
		w.endMS = int64(r.Word1)
	}
	if e.zone.firsts.count.Load() > 0 {
		hash := zone.KeyHash(key)
		w.first = e.zone.firstOf(e.zone.store.Shard(hash), hash, r)
	}
	return e.appendWrite(dst, key, &w)
}

func (e *registerEncoder) appendWrite(dst []byte, key []byte, w *write) []byte {
	if w.first.stamp > w.stamp {
		dst = e.appendFirst(dst, key, w.first)
	}
	head := uint64(len(key)) << 2
	if w.tombstone {
		head |= headTombstone
	}
	if w.endMS != 0 {
		head |= headEnds
	}
	dst = append(binary.AppendUvarint(dst, head), key...)
	dst = e.appendStamp(dst, w.stamp)
	if w.endMS != 0 {
		dst = binary.AppendVarint(dst, w.endMS-w.stamp.MS()-e.timeoutMS)
	}
	if w.tombstone {
		return dst
	}
	return e.appendValue(dst, w.value)
}

func (e *registerEncoder) appendValue(dst, value []byte) []byte {
	if e.zone.dictionary {
		for i, known := range e.values[:e.known] {
			if bytes.Equal(known, value) {
				return binary.AppendUvarint(dst, uint64(i+1))
			}
		}
		if e.known < maxDictionary {
			e.values[e.known] = append(e.values[e.known][:0], value...)
			e.known++
		}
		dst = append(dst, 0)
	}
	return append(binary.AppendUvarint(dst, uint64(len(value))), value...)
}

// registerDecoder reads a payload back.
type registerDecoder struct {
	zone.Reader
	baseMS    int64
	timeoutMS int64
	aheadMS   int64 // from this node's monotonic clock to the sender's
	values    [maxDictionary][]byte
	known     int
	// first belongs to the next record, if that has the key firstKey.
	firstKey []byte
	first    first
}

// No correct peer sends larger numbers, and sums of these cannot overflow.
const (
	maxWallMS    = 1 << 48
	maxTimeoutMS = 1 << 48
	maxDeltaMS   = 1 << 50
)

// begin reads the head. If now does not have the sender's clock, the payload was made ageMS ago.
func (d *registerDecoder) begin(ageMS int64, now clock.Reading) {
	if d.Byte() != registerFormat {
		d.Fail()
	}
	base, timeout := d.Uvarint(), d.Uvarint()
	if base > maxWallMS || timeout > maxTimeoutMS {
		d.Fail()
	}
	d.baseMS, d.timeoutMS = int64(base), int64(timeout)
	sender := now.SenderMS
	if sender == 0 {
		sender = d.baseMS + ageMS
	}
	d.aheadMS = now.MonoMS - sender
}

func (d *registerDecoder) stamp() stamp.Stamp {
	delta, counter := d.Varint(), d.Uvarint()
	ms := d.baseMS + delta
	if delta > maxDeltaMS || delta < -maxDeltaMS || ms < 0 || ms >= maxWallMS || counter > 1<<16-1 {
		d.Fail()
		return 0
	}
	return stamp.At(ms, uint16(counter))
}

// record reads one record; more is false at the end of the group. A clear has a key of no length.
func (d *registerDecoder) record(g *registers) (key []byte, w write, more bool) {
	var head uint64
	for {
		if head = d.Uvarint(); head == 0 {
			return nil, w, false
		}
		if head>>2 > zone.MaxKeyBytes || (head>>2 == 0 && head != headClear) {
			d.Fail()
			return nil, w, false
		}
		key = d.Bytes(head >> 2)
		w.stamp = d.stamp()
		if head&headFirst != headFirst || d.Failed() {
			break
		}
		d.readFirst(key, w.stamp)
	}
	w.tombstone = head&headTombstone != 0
	if d.first.stamp != 0 && bytes.Equal(d.firstKey, key) {
		w.first = d.first.over(w.stamp)
	}
	d.first = first{}
	if head&headEnds != 0 {
		after := d.Varint()
		w.endMS = w.stamp.MS() + d.timeoutMS + after
		if after > maxDeltaMS || after < -maxDeltaMS || w.endMS <= 0 {
			d.Fail()
		}
		w.endMS = max(w.endMS+d.aheadMS, 1)
	}
	if !w.tombstone {
		w.value = d.value(g.dictionary)
		if len(w.value) > g.maxValue {
			d.Fail()
		}
	}
	return key, w, !d.Failed()
}

func (d *registerDecoder) value(dictionary bool) []byte {
	if !dictionary {
		return d.Bytes(d.Uvarint())
	}
	if n := d.Uvarint(); n > 0 {
		if n > uint64(d.known) {
			d.Fail()
			return nil
		}
		return d.values[n-1]
	}
	value := d.Bytes(d.Uvarint())
	if d.known < maxDictionary {
		d.values[d.known] = value
		d.known++
	}
	return value
}

// Apply merges one frame of a peer's journal.
func (g *registers) Apply(
	_ zone.Origin,
	_ uint64,
	payload []byte,
	ageMS int64,
	now clock.Reading,
) (zone.Applied, error) {
	space := room{bytes: g.store.Limit(), evict: g.evicts, ageMS: ageMS, doubts: true}
	return g.merge(payload, space, stamp.Highest(now.WallMS), now)
}

// Learn merges a taught piece. It evicts nothing to make room.
func (g *registers) Learn(payload []byte, now clock.Reading) (zone.Applied, error) {
	return g.merge(payload, room{bytes: g.store.Limit(), whole: true, repaired: true}, stamp.Highest(now.WallMS), now)
}

// merge merges a payload. Records stamped above highest are rejected.
func (g *registers) merge(
	payload []byte,
	space room,
	highest stamp.Stamp,
	now clock.Reading,
) (applied zone.Applied, err error) {
	g.sendTombstones(payload, now)
	d := registerDecoder{Reader: zone.Read(payload)}
	d.begin(space.ageMS, now)
	wake := false
	for d.Len() > 0 && !d.Failed() {
		wake = g.mergeGroup(&d, space, highest, now, &applied) || wake
	}
	g.store.Count(applied)
	if wake {
		g.store.Wake(false)
	}
	if d.Failed() {
		return applied, g.malformed()
	}
	return applied, nil
}

// mergeGroup merges the records of one shard under its lock. It reports whether to wake the flusher.
func (g *registers) mergeGroup(
	d *registerDecoder,
	space room,
	highest stamp.Stamp,
	now clock.Reading,
	applied *zone.Applied,
) (wake bool) {
	number := int(d.Byte())
	sh := g.store.ShardNumber(number)
	sh.Lock()
	defer sh.Unlock()
	if space.whole {
		sh.Expect(d.Len() / expectRecordBytes)
	}
	for {
		key, w, more := d.record(g)
		if !more {
			return wake
		}
		if space.only != nil && !bytes.Equal(key, space.only) {
			d.Fail()
			return wake
		}
		applied.Records++
		if w.stamp > highest {
			applied.Ahead++
			continue
		}
		g.clock.Observe(w.stamp)
		if len(key) == 0 {
			wake = sh.ClearTo(w.stamp, space.carried, stampOf) || wake
			applied.Cleared++
			continue
		}
		hash := zone.KeyHash(key)
		if zone.ShardOf(hash) != number {
			d.Fail()
			return wake
		}
		wake = g.mergeOne(sh, hash, key, &w, space, now, applied) || wake
	}
}

func (g *registers) mergeOne(
	sh *zone.Shard,
	hash uint64,
	key []byte,
	w *write,
	space room,
	now clock.Reading,
	applied *zone.Applied,
) (wake bool) {
	if space.goneMS != 0 && max(w.stamp, w.first.stamp).MS() <= space.goneMS && !w.tombstone && w.stamp > sh.Clear() {
		if _, r := sh.Find(key); r == nil {
			gone, first := g.deleteAgain(sh, hash, key, w, now)
			if gone != nil {
				applied.Buried++
				space.buried(sh.Number(), key, gone)
			}
			return first
		}
	}
	if g.check != nil && !w.tombstone {
		if err := g.check(key, w.value); err != nil {
			if applied.Invalid++; applied.Fault == nil {
				applied.Fault = fmt.Errorf("key %.*q: %w", maxShownKey, key, err)
			}
			return false
		}
	}
	if space.doubts && g.doubtful(sh, key, w) {
		applied.Doubted++
		return false
	}
	switch did, slot := g.put(sh, hash, key, w, space, now); did {
	case won:
		applied.Won++
		if space.carried {
			return sh.MarkDirty(slot, sh.At(slot))
		}
	case outdated:
		applied.Lost++
		if slot, r := sh.Find(key); r != nil {
			return sh.MarkDirty(slot, r) // the sender does not know of it
		}
	case lost:
		applied.Lost++
		if space.repaired && !w.tombstone {
			fresh, first := g.remind(sh, key, now)
			if fresh {
				applied.Deleted++
			}
			return first
		}
	case refused:
		applied.Refused++
		g.store.Lacked(zone.Foreign, zone.CostBytes(len(key), len(w.value)), space.bytes)
	}
	return false
}

// maxShownKey is how many characters of a rejected key are shown.
const maxShownKey = 200

// expectRecordBytes is the estimated size of a taught record. It is high, so that a peer cannot make this node allocate
// much more than it sends.
const expectRecordBytes = 64

// TeachShard appends records of one shard to dst until it holds about maxBytes, starting after a cursor: a slot, and
// above it the number of slot moves. It appends nothing if there are none.
func (g *registers) TeachShard(
	shard int,
	cursor uint64,
	dst []byte,
	maxBytes int,
	now clock.Reading,
) (payload []byte, next uint64, done bool) {
	e := registerEncoder{zone: g}
	sh := g.store.ShardNumber(shard)
	sh.Lock()
	defer sh.Unlock()
	start := len(dst)
	dst = append(e.Begin(dst, now), byte(shard))
	empty := len(dst)
	if cursor == 0 && sh.Clear() != 0 {
		dst = e.AppendClear(dst, sh.Clear())
	}
	if moves := uint64(sh.Moves()); cursor>>32 != moves {
		cursor = moves << 32 // the slots have moved since: start again, which merges the same
	}
	moved, slot := cursor&^math.MaxUint32, cursor&math.MaxUint32+1
	for ; slot <= uint64(sh.Len()) && len(dst) < maxBytes; slot++ {
		if !sh.Live(zone.Slot(slot)) {
			continue
		}
		r := sh.At(zone.Slot(slot))
		if end := g.endMS(r); end == 0 || end > now.MonoMS {
			dst = e.AppendChange(dst, r, sh.Key(r), sh.Value(r))
		}
	}
	done = slot > uint64(sh.Len())
	if len(dst) == empty {
		return dst[:start], moved | slot - 1, done
	}
	return append(dst, zone.GroupEnd), moved | slot - 1, done
}
