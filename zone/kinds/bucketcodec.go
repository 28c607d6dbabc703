package kinds

import (
	"encoding/binary"
	"slices"

	"starling/lib/clock"
	"starling/zone"
)

// A frame of buckets:
//
//	format 2 | groups
//	group    shard byte | records | 0
//	record   key length | key | requests charged since the last frame
//
// A taught shard of buckets, always in one piece:
//
//	format 3 | shard byte | number of origins | (origin in 8 bytes | last sequence applied) … | records
//	record   key length | key | level in 1/1000 request at the cut
//
// The first origin is the teacher. Numbers are varints.
const (
	bucketFrameFormat  byte = 2
	bucketTaughtFormat byte = 3
	// maxCosts is more requests than one node can charge to a key between two frames.
	maxCosts = 1 << 40
)

type bucketEncoder struct{ head }

// NewEncoder returns an encoder of costs.
func (b *Bucket) NewEncoder() zone.Encoder { return bucketEncoder{head(bucketFrameFormat)} }

// AppendChange appends the costs since the last frame.
func (bucketEncoder) AppendChange(dst []byte, r *zone.Record, key, _ []byte) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
	dst = binary.AppendUvarint(dst, uint64(*r.Unsent()))
	*r.Unsent() = 0
	return dst
}

// readBucket reads one record of a group; more is false at its end.
func readBucket(r *zone.Reader, most uint64) (key []byte, number int64, more bool) {
	n := r.Uvarint()
	if n == 0 {
		return nil, 0, false
	}
	if n > zone.MaxKeyBytes {
		r.Fail()
	}
	key = r.Bytes(n)
	v := r.Uvarint()
	if v > most {
		r.Fail()
	}
	return key, int64(v), !r.Failed()
}

// Apply adds the costs of one frame, unless it was applied before.
func (b *Bucket) Apply(
	from zone.Origin,
	sequence uint64,
	payload []byte,
	ageMS int64,
	now clock.Reading,
) (applied zone.Applied, err error) {
	o := b.origin(from, now)
	o.spoke.Store(true)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.completed = believed(o.completed, sequence)
	if sequence <= o.completed {
		return applied, nil
	}
	r := zone.Read(payload)
	if r.Byte() != bucketFrameFormat {
		r.Fail()
	}
	for r.Len() > 0 && !r.Failed() {
		shard := int(r.Byte())
		sh := b.store.ShardNumber(shard)
		sh.Lock()
		o.applied[shard] = believed(o.applied[shard], sequence)
		switch {
		case sequence <= o.applied[shard]:
			skipGroup(&r)
		case o.gap.misses(shard):
			if group, ok := readGroup(from, sequence, &r, ageMS, now); ok {
				b.wait(o, sh, group, now, &applied)
			}
		case b.held[shard] != nil:
			b.holdGroup(shard, from, sequence, &r, ageMS, now)
		default:
			b.addGroup(sh, &r, ageMS, now, &applied)
			o.applied[shard], o.itself[shard] = sequence, true
		}
		sh.Unlock()
	}
	o.completed = sequence
	b.store.Count(applied)
	if r.Failed() {
		return applied, b.malformed()
	}
	return applied, nil
}

// believed is the last frame that an origin may have sent, given one that it does send: positions that others reported,
// and that are further ahead than a journal is long, were false.
func believed(last, sequence uint64) uint64 {
	if last > sequence+zone.MaxFrames {
		return sequence - 1
	}
	return last
}

// addGroup adds the costs of one shard.
func (b *Bucket) addGroup(sh *zone.Shard, r *zone.Reader, ageMS int64, now clock.Reading, applied *zone.Applied) {
	for {
		key, requests, more := readBucket(r, maxCosts)
		if !more {
			return
		}
		if zone.ShardOf(zone.KeyHash(key)) != sh.Number() {
			r.Fail()
			return
		}
		applied.Records++
		if b.addTo(sh, key, requests*request, ageMS, now) {
			applied.Won++
		} else {
			applied.Refused++
		}
	}
}

// addTo adds remote costs to the bucket of a key. It fails if the zone has no room.
func (b *Bucket) addTo(sh *zone.Shard, key []byte, costMilli, ageMS int64, now clock.Reading) bool {
	slot, r := sh.Find(key)
	if r == nil {
		level, lastMS := b.add(0, 0, costMilli, ageMS, now)
		if level == 0 {
			return true
		}
		if slot, r = b.store.Insert(sh, key, nil, b.store.Limit(), true, now.MonoMS); r == nil {
			b.store.Forfeit(costMilli)
			return false
		}
		r.Word0, r.Word1 = uint64(level), uint64(lastMS)
	} else {
		level, lastMS := b.add(int64(r.Word0), int64(r.Word1), costMilli, ageMS, now)
		r.Word0, r.Word1 = uint64(level), uint64(lastMS)
	}
	sh.Use(slot, r, now.MonoMS)
	return true
}

func skipGroup(r *zone.Reader) {
	for more := true; more; {
		_, _, more = readBucket(r, maxCosts)
	}
}

// TeachShard writes the levels of one shard, cut under its lock, with the sequences up to which they count each origin.
// Everything is in one piece: done is always true. A zone that never had a cost teaches nothing.
func (b *Bucket) TeachShard(
	shard int,
	_ uint64,
	dst []byte,
	_ int,
	now clock.Reading,
) (payload []byte, next uint64, done bool) {
	sh, sequence := b.store.Cut(shard, now)
	defer sh.Unlock()
	start := len(dst)
	dst = append(dst, bucketTaughtFormat, byte(shard))
	dst, any := b.appendSeen(dst, shard, sh.LastFrame())
	// A zone that was published has levels from before its first frame.
	if !any && sequence == 0 && sh.Len() == 0 {
		return dst[:start], 0, true
	}
	for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
		if !sh.Live(slot) {
			continue
		}
		r := sh.At(slot)
		level := int64(r.Word0) - b.drained(now.MonoMS-int64(r.Word1))
		if level <= 0 {
			continue
		}
		key := sh.Key(r)
		dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
		dst = binary.AppendUvarint(dst, uint64(level))
	}
	return dst, 0, true
}

// appendSeen appends the origins whose frames the shard has, the own one first; any reports whether there was a frame
// at all. The shard is locked.
func (b *Bucket) appendSeen(dst []byte, shard int, own uint64) (seen []byte, any bool) {
	b.originsMu.Lock()
	defer b.originsMu.Unlock()
	names := make([]zone.Origin, 0, len(b.origins))
	for name, o := range b.origins {
		if o.applied[shard] > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names) // equal zones teach equal bytes
	dst = binary.AppendUvarint(dst, uint64(len(names)+1))
	dst = binary.LittleEndian.AppendUint64(dst, b.self.Load())
	dst = binary.AppendUvarint(dst, own)
	for _, name := range names {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(name))
		dst = binary.AppendUvarint(dst, b.origins[name].applied[shard])
	}
	return dst, own > 0 || len(names) > 0
}

// Learn merges a taught shard. A held shard becomes exactly the teacher's, plus what the teacher had not seen; for
// others, learnAgain determines what can be known.
func (b *Bucket) Learn(payload []byte, now clock.Reading) (applied zone.Applied, err error) {
	r := zone.Read(payload)
	shard, from := readTaughtHead(&r, bucketTaughtFormat, maxOrigins+1)
	if r.Failed() {
		return applied, b.malformed()
	}
	teacher := b.origin(from[0].origin, now)
	teacher.mu.Lock()
	defer teacher.mu.Unlock()
	sh, _ := b.store.Cut(shard, now)
	defer sh.Unlock()
	sh.Expect(r.Len() / expectRecordBytes)
	if held := b.held[shard]; held != nil {
		b.learnHeld(sh, held, from, &r, now, &applied)
	} else {
		b.learnAgain(sh, teacher, from, &r, now, &applied)
	}
	b.moveOn(shard, from, now)
	teacher.itself[shard] = true
	b.endGap(teacher, sh, now, &applied)
	if r.Failed() {
		return applied, b.malformed()
	}
	return applied, nil
}

// learnRecords sets the level of each taught record for which better returns true.
func (b *Bucket) learnRecords(
	sh *zone.Shard,
	r *zone.Reader,
	now clock.Reading,
	applied *zone.Applied,
	better func(*zone.Record, int64) bool,
) {
	for r.Len() > 0 {
		key, level, more := readBucket(r, maxLevel)
		if !more || zone.ShardOf(zone.KeyHash(key)) != sh.Number() {
			r.Fail()
			return
		}
		applied.Records++
		slot, record := sh.Find(key)
		if record == nil {
			if level == 0 {
				applied.Lost++ // level 0 means no record: an unused one would never be evicted
				continue
			}
			if slot, record = b.store.Insert(sh, key, nil, b.store.Limit(), false, now.MonoMS); record == nil {
				applied.Refused++
				continue
			}
		}
		if !better(record, level) {
			applied.Lost++
			continue
		}
		record.Word0, record.Word1 = uint64(level), uint64(now.MonoMS)
		sh.Use(slot, record, now.MonoMS)
		applied.Won++
	}
}
