package kinds

import (
	"encoding/binary"

	"starling/lib/clock"
	"starling/zone"
)

// A frame of findings:
//
//	format 6 | groups
//	group    shard byte | records | 0
//	record   key length | key | value length | value of the sender, empty if it was withdrawn
//
// A taught shard of findings, always in one piece:
//
//	format 7 | shard byte | 1 | origin of the sender in 8 bytes | its last sequence | records
//
// Numbers are varints.
const (
	healthFrameFormat  byte = 6
	healthTaughtFormat byte = 7
)

type healthEncoder struct{ head }

// NewEncoder returns an encoder of findings.
func (h *Health) NewEncoder() zone.Encoder { return healthEncoder{head(healthFrameFormat)} }

// AppendChange appends a finding.
func (healthEncoder) AppendChange(dst []byte, _ *zone.Record, key, value []byte) []byte {
	return appendFinding(dst, key, value)
}

func appendFinding(dst, key, value []byte) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
	return append(binary.AppendUvarint(dst, uint64(len(value))), value...)
}

// readFinding reads a record of a shard; more is false at the end of a group, and after a failure.
func readFinding(r *zone.Reader, shard int) (key, value []byte, more bool) {
	n := r.Uvarint()
	if n == 0 {
		return nil, nil, false
	}
	if n > MaxHealthKeyBytes {
		r.Fail()
	}
	key = r.Bytes(n)
	if n = r.Uvarint(); n > MaxHealthValueBytes {
		r.Fail()
	}
	value = r.Bytes(n)
	if !r.Failed() && zone.ShardOf(zone.KeyHash(key)) != shard {
		r.Fail()
	}
	return key, value, !r.Failed()
}

// Apply takes over the findings of one frame, unless it was applied before.
func (h *Health) Apply(
	from zone.Origin,
	sequence uint64,
	payload []byte,
	_ int64,
	now clock.Reading,
) (applied zone.Applied, err error) {
	h.told.Lock()
	defer h.told.Unlock()
	s := h.speaker(from, now)
	if s != nil && !s.takes(sequence) {
		return applied, nil
	}
	return h.applyFrame(healthFrameFormat, payload, func(r *zone.Reader, applied *zone.Applied) {
		h.applyGroup(s, sequence, r, now, applied)
	})
}

// applyGroup takes over the findings of one shard. Without a speaker, for which there was no room, they are rejected.
func (h *Health) applyGroup(s *speaker, sequence uint64, r *zone.Reader, now clock.Reading, applied *zone.Applied) {
	shard := int(r.Byte())
	for {
		key, value, more := readFinding(r, shard)
		if !more {
			return
		}
		did := lost
		switch {
		case s == nil:
			did = refused
		case !s.hasTaught(shard, sequence):
			did = h.hear(s, shard, key, value, now.MonoMS)
		}
		countFinding(did, applied)
	}
}

func countFinding(did outcome, applied *zone.Applied) {
	applied.Records++
	switch did {
	case won:
		applied.Won++
	case refused:
		applied.Refused++
	default:
		applied.Lost++
	}
}

// TeachShard writes the findings of this node in one shard, cut under its lock. Everything is in one piece: done is
// always true. That a node has none is news too.
func (h *Health) TeachShard(
	shard int,
	_ uint64,
	dst []byte,
	_ int,
	now clock.Reading,
) (payload []byte, next uint64, done bool) {
	sh, sequence := h.store.Cut(shard, now)
	defer sh.Unlock()
	dst = append(dst, healthTaughtFormat, byte(shard), 1)
	dst = binary.LittleEndian.AppendUint64(dst, h.self.Load())
	dst = binary.AppendUvarint(dst, sequence)
	for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
		if !sh.Live(slot) {
			continue
		}
		if r := sh.At(slot); len(sh.Value(r)) > 0 {
			dst = appendFinding(dst, sh.Key(r), sh.Value(r))
		}
	}
	return dst, 0, true
}

// Learn merges a taught shard: it replaces what its teacher told before. One that was cut before a frame that is here
// already is of an earlier connection, and changes nothing.
func (h *Health) Learn(payload []byte, now clock.Reading) (applied zone.Applied, err error) {
	h.told.Lock()
	defer h.told.Unlock()
	r := zone.Read(payload)
	shard, from := readTaughtHead(&r, healthTaughtFormat, 1)
	if r.Failed() {
		return applied, h.malformed()
	}
	var s *speaker
	if teacher := from[0]; uint64(teacher.origin) != h.self.Load() {
		s = h.speaker(teacher.origin, now)
		if s != nil && teacher.sequence < s.completed {
			s = nil
		}
	}
	if s != nil {
		h.forgetShard(s, shard)
		s.noteTaught(shard, from[0].sequence)
		dropShard(&s.lacks, shard)
	}
	for r.Len() > 0 && !r.Failed() {
		key, value, more := readFinding(&r, shard)
		if !more {
			r.Fail()
			break
		}
		did := lost
		if s != nil {
			did = h.hear(s, shard, key, value, now.MonoMS)
		}
		countFinding(did, &applied)
	}
	h.store.Count(applied)
	if r.Failed() {
		return applied, h.malformed()
	}
	return applied, nil
}
