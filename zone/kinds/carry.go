package kinds

import (
	"math"

	"starling/lib/clock"
	"starling/zone"
)

// A reload can change a zone's identity for its peers: it becomes shared, or its key expression changes. Then a new
// zone replaces the old one and carries its records over. They count as local writes, so that peers get them.

// carryPieceBytes keeps the locks of both zones short.
const carryPieceBytes = 64 << 10

// CarryFrom merges the records of the zone that this one replaces. A second call, with again, merges the writes to that
// zone since; a zone without tombstones ignores it, because it does not know what was deleted here meanwhile.
func (s *Session) CarryFrom(old *Session, again bool, now clock.Reading) error {
	return s.carryFrom(&old.registers, again, now, func([]byte, zone.Applied) {})
}

// CarryFrom is that of sessions. The keeper of this zone's state gets the records too.
func (k *Keyval) CarryFrom(old *Keyval, again bool, now clock.Reading) error {
	return k.carryFrom(
		&old.registers,
		again,
		now,
		func(payload []byte, applied zone.Applied) { k.keepRemote(payload, 0, applied, now) },
	)
}

func (g *registers) carryFrom(old *registers, again bool, now clock.Reading, keep func([]byte, zone.Applied)) error {
	if again && g.tombstoneMS.Load() == 0 {
		return nil
	}
	var buf []byte
	for shard := range zone.Shards {
		for cursor, done := uint64(0), false; !done; {
			buf, cursor, done = old.TeachShard(shard, cursor, buf[:0], carryPieceBytes, now)
			if len(buf) == 0 {
				continue
			}
			applied, err := g.merge(buf, room{bytes: g.store.Limit(), carried: true}, math.MaxUint64, now)
			if err != nil {
				return err
			}
			keep(buf, applied)
		}
	}
	g.store.Wake(false)
	return nil
}

// carriedBucket is a bucket being carried over.
type carriedBucket struct {
	key   []byte
	level int64
}

// CarryFrom raises levels to those of the replaced zone. Peers get them as current costs, rounded to whole requests.
func (b *Bucket) CarryFrom(old *Bucket, now clock.Reading) {
	for shard := range zone.Shards {
		b.carry(b.store.ShardNumber(shard), old.levels(shard, now), now)
	}
	b.store.Wake(false)
}

// levels copies the non-empty buckets of a shard.
func (b *Bucket) levels(shard int, now clock.Reading) (out []carriedBucket) {
	sh := b.store.ShardNumber(shard)
	sh.Lock()
	defer sh.Unlock()
	for slot := sh.Oldest(); slot != 0; slot = sh.Newer(slot) { // so that the order of use is preserved
		r := sh.At(slot)
		if level := int64(r.Word0) - b.drained(now.MonoMS-int64(r.Word1)); level > 0 {
			out = append(out, carriedBucket{append([]byte(nil), sh.Key(r)...), level})
		}
	}
	return out
}

func (b *Bucket) carry(sh *zone.Shard, from []carriedBucket, now clock.Reading) {
	sh.Lock()
	defer sh.Unlock()
	for _, c := range from {
		slot, r := sh.Find(c.key)
		if r == nil {
			if slot, r = b.store.Insert(sh, c.key, nil, b.store.Limit(), false, now.MonoMS); r == nil {
				continue // as in a full zone: the limit starts empty
			}
		}
		have := max(int64(r.Word0)-b.drained(now.MonoMS-int64(r.Word1)), 0)
		if c.level <= have {
			continue
		}
		r.Word0, r.Word1 = uint64(c.level), uint64(now.MonoMS)
		sh.Use(slot, r, now.MonoMS)
		if requests := (c.level - have + request/2) / request; requests > 0 && b.store.Synced() {
			*r.Unsent() += uint32(min(requests, math.MaxUint32-int64(*r.Unsent())))
			sh.MarkDirty(slot, r)
		}
	}
}
