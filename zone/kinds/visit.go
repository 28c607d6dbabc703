package kinds

import (
	"bytes"
	"iter"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// Pair is one pair of a zone, or a session and its server. LeftMS is its remaining life, 0 if it does not end. Stamp is
// that of its last write, on any node.
type Pair struct {
	Key, Value []byte
	LeftMS     int64
	Stamp      stamp.Stamp
}

// All visits the pairs in no particular order. Key and value can be kept.
func (k *Keyval) All(now clock.Reading) iter.Seq[Pair] {
	return func(yield func(Pair) bool) {
		for pair := range k.Visit(now) {
			pair.Key, pair.Value = bytes.Clone(pair.Key), bytes.Clone(pair.Value)
			if !yield(pair) {
				return
			}
		}
	}
}

// Visit visits the pairs, or the sessions, in no particular order, with little memory whatever their number. Key and
// value are valid until the next one. No lock is held while the visitor runs: pairs that stay are visited once, those
// added or removed meanwhile perhaps.
func (g *registers) Visit(now clock.Reading) iter.Seq[Pair] {
	return func(yield func(Pair) bool) {
		var v visitor
		for number := range zone.Shards {
			if !v.shard(g, g.store.ShardNumber(number), now, yield) {
				return
			}
		}
	}
}

// visitPieceBytes is how much is copied at once under a shard's lock; one value can exceed it.
const visitPieceBytes = 64 << 10

// visitor copies pairs out of shards, piece by piece.
type visitor struct {
	pairs []visited
	bytes []byte
}

type visited struct {
	keyEnd, valueEnd int // in bytes; the key begins where the previous value ends
	leftMS           int64
	stamp            stamp.Stamp
}

func (v *visitor) shard(g *registers, sh *zone.Shard, now clock.Reading, yield func(Pair) bool) (more bool) {
	sh.Lock()
	sh.Pin()
	sh.Unlock()
	defer func() {
		sh.Lock()
		sh.Unpin()
		sh.Unlock()
	}()
	for slot, done := zone.Slot(1), false; !done; {
		slot, done = v.copy(g, sh, slot, now)
		start := 0
		for _, p := range v.pairs {
			if !yield(
				Pair{
					Key:    v.bytes[start:p.keyEnd:p.keyEnd],
					Value:  v.bytes[p.keyEnd:p.valueEnd:p.valueEnd],
					LeftMS: p.leftMS,
					Stamp:  p.stamp,
				},
			) {
				return false
			}
			start = p.valueEnd
		}
	}
	return true
}

// copy copies pairs from a slot on, and returns the slot after the last.
func (v *visitor) copy(g *registers, sh *zone.Shard, slot zone.Slot, now clock.Reading) (next zone.Slot, done bool) {
	sh.Lock()
	defer sh.Unlock()
	v.pairs, v.bytes = v.pairs[:0], v.bytes[:0]
	if cap(v.bytes) > 2*visitPieceBytes {
		v.bytes = nil // do not keep the memory of one long value
	}
	for ; int(slot) <= sh.Len() && len(v.bytes) < visitPieceBytes; slot++ {
		if !sh.Live(slot) {
			continue
		}
		r := sh.At(slot)
		if end := g.endMS(r); r.Tombstone() || (end != 0 && end <= now.MonoMS) {
			continue
		}
		v.bytes = append(v.bytes, sh.Key(r)...)
		keyEnd := len(v.bytes)
		v.bytes = append(v.bytes, sh.Value(r)...)
		leftMS := int64(0)
		if r.Word1 != 0 {
			leftMS = max(int64(r.Word1)-now.MonoMS, 1) // a session in its grace is about to end
		}
		v.pairs = append(v.pairs, visited{keyEnd, len(v.bytes), leftMS, stampOf(r)})
	}
	return slot, int(slot) > sh.Len()
}
