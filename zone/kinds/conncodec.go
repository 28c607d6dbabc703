package kinds

import (
	"cmp"
	"encoding/binary"
	"slices"

	"starling/lib/clock"
	"starling/zone"
)

// A frame of counts:
//
//	format 4 | groups
//	group    shard byte | records | 0
//	record   key length | key | count of the sender
//
// A taught shard of counts, always in one piece:
//
//	format 5 | shard byte | number of origins | (origin in 8 bytes | last sequence that is counted) … | records
//	record   key length | key | number of counts | (place in the list | count) …
//
// The first origin is the teacher. Another one with the sequence 0 may have counts that the teacher lacks. Numbers are
// varints.
const (
	connFrameFormat  byte = 4
	connTaughtFormat byte = 5
)

type connEncoder struct{ head }

// NewEncoder returns an encoder of counts.
func (c *Conn) NewEncoder() zone.Encoder { return connEncoder{head(connFrameFormat)} }

// AppendChange appends the own count, unless the last frame with the key had the same: most requests are over before a
// flush.
func (connEncoder) AppendChange(dst []byte, r *zone.Record, key, _ []byte) []byte {
	own := uint64(min(ownOf(r), maxConns))
	if own == r.Word1 {
		return dst
	}
	r.Word1 = own
	dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
	return binary.AppendUvarint(dst, own)
}

// Apply takes over the counts of one frame, unless it was applied before.
func (c *Conn) Apply(
	from zone.Origin,
	sequence uint64,
	payload []byte,
	_ int64,
	now clock.Reading,
) (applied zone.Applied, err error) {
	c.told.Lock()
	defer c.told.Unlock()
	t := c.teller(from, true, now)
	if t != nil && !t.takes(sequence) {
		return applied, nil
	}
	return c.applyFrame(connFrameFormat, payload, func(r *zone.Reader, applied *zone.Applied) {
		c.applyGroup(t, sequence, r, now, applied)
	})
}

// applyGroup takes over the counts of one shard. Without a teller, for which there was no room, they are rejected.
func (c *Conn) applyGroup(t *teller, sequence uint64, r *zone.Reader, now clock.Reading, applied *zone.Applied) {
	shard := int(r.Byte())
	keepZero := hasShard(&c.tellers.held, shard)
	isTaught := t != nil && t.hasTaught(shard, sequence)
	sh := c.store.ShardNumber(shard)
	sh.Lock()
	defer sh.Unlock()
	for {
		key, count, more := readBucket(r, maxConns)
		if !more {
			return
		}
		if zone.ShardOf(zone.KeyHash(key)) != shard {
			r.Fail()
			return
		}
		applied.Records++
		did := lost
		switch {
		case t == nil:
			did = refused
		case !isTaught:
			did = c.tell(sh, t, key, entry{count: uint16(count), sequence: sequence}, keepZero, now.MonoMS)
		}
		t.countOutcome(did, shard, applied)
	}
}

func (t *teller) countOutcome(did outcome, shard int, applied *zone.Applied) {
	switch did {
	case won:
		applied.Won++
	case refused:
		applied.Refused++
		if t != nil {
			addShard(&t.refused, shard)
		}
	default:
		applied.Lost++
	}
}

// TeachShard writes the counts of one shard, cut under its lock: those of this node, and of connected ones as far as
// nothing is missing. Everything is in one piece: done is always true. That a node has no connections is news too.
func (c *Conn) TeachShard(
	shard int,
	_ uint64,
	dst []byte,
	_ int,
	now clock.Reading,
) (payload []byte, next uint64, done bool) {
	c.told.Lock()
	defer c.told.Unlock()
	sh, sequence := c.store.Cut(shard, now)
	defer sh.Unlock()
	dst = append(dst, connTaughtFormat, byte(shard))
	dst, places := c.appendTellers(dst, shard, sequence)
	for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
		if sh.Live(slot) {
			dst = appendCounts(dst, sh, sh.At(slot), places)
		}
	}
	return dst, 0, true
}

// appendTellers appends the origins that have told anything, this node first, and returns the place of each in that
// list by its number. One whose counts may be incomplete in a shard has the sequence 0 and no place. Those without
// counts in the shard are listed too: the learner will not get the frames that ended their counts.
func (c *Conn) appendTellers(dst []byte, shard int, own uint64) ([]byte, map[uint16]uint64) {
	var list []*teller
	for _, t := range c.tellers.numbered {
		if t != nil && (t.entries > 0 || !t.isAway && (t.through(shard) > 0 || t.isIncomplete(shard))) {
			list = append(list, t)
		}
	}
	// Equal zones teach equal bytes.
	slices.SortFunc(list, func(a, b *teller) int { return cmp.Compare(a.name, b.name) })
	dst = binary.AppendUvarint(dst, uint64(len(list)+1))
	dst = binary.LittleEndian.AppendUint64(dst, c.self.Load())
	dst = binary.AppendUvarint(dst, own)
	places := make(map[uint16]uint64, len(list))
	for i, t := range list {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(t.name))
		if t.isAway || t.isIncomplete(shard) {
			dst = append(dst, 0)
			continue
		}
		places[t.number] = uint64(i + 1)
		dst = binary.AppendUvarint(dst, t.through(shard))
	}
	return dst, places
}

// isIncomplete reports whether counts of a teller are missing in a shard.
func (t *teller) isIncomplete(shard int) bool {
	return hasShard(&t.lacks, shard) || hasShard(&t.refused, shard)
}

// through is the frame through which a shard has all counts of the teller.
func (t *teller) through(shard int) uint64 {
	if t.taught == nil {
		return t.completed
	}
	return max(t.completed, t.taught[shard])
}

// appendCounts appends the counts of one key, if there are any.
func appendCounts(dst []byte, sh *zone.Shard, r *zone.Record, places map[uint16]uint64) []byte {
	value, n := sh.Value(r), 0
	own := min(ownOf(r), maxConns)
	if own > 0 {
		n++
	}
	for at := 0; at < len(value); at += entryBytes {
		if e := readEntry(value[at:]); e.count > 0 && places[e.teller] > 0 {
			n++
		}
	}
	if n == 0 {
		return dst
	}
	key := sh.Key(r)
	dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
	dst = binary.AppendUvarint(dst, uint64(n))
	if own > 0 {
		dst = binary.AppendUvarint(append(dst, 0), uint64(own))
	}
	for at := 0; at < len(value); at += entryBytes {
		if e := readEntry(value[at:]); e.count > 0 && places[e.teller] > 0 {
			dst = binary.AppendUvarint(dst, places[e.teller])
			dst = binary.AppendUvarint(dst, uint64(e.count))
		}
	}
	return dst
}
