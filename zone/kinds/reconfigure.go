package kinds

import (
	"math"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// A reload changes a zone in place. A second zone that took over the records would miss what the last requests of the
// previous configuration write to the first one, and bring back what they delete.

// Change is what a reload can change of a zone. Zero values leave timeout, rate and burst as they are.
type Change struct {
	Bytes      int64
	Expression string
	Sync       bool
	TimeoutMS  int64 // of sessions and pairs
	RateMilli  int64 // of buckets
}

// Reconfigure applies a change, except that a smaller zone keeps its records until Settle.
func (s *Session) Reconfigure(c Change, now clock.Reading) {
	s.SetTimeout(c.TimeoutMS)
	s.resize(c.Bytes)
	s.reshare(c, now)
}

// Reconfigure applies a change, except that a smaller zone keeps its pairs until Settle. What Settle drops is not
// deleted: a peer with a larger zone keeps it. So the peers must know by then that this zone is not the one that agreed
// with theirs.
func (k *Keyval) Reconfigure(c Change, now clock.Reading) {
	k.SetTimeout(c.TimeoutMS)
	if c.Bytes < k.store.Limit() && k.store.Stats().RecordBytes > c.Bytes/2 {
		k.renewLineage()
	}
	k.resize(c.Bytes)
	k.reshare(c, now)
}

// Reconfigure applies a change, except that a smaller zone keeps its buckets until Settle.
func (b *Bucket) Reconfigure(c Change, now clock.Reading) {
	b.SetRate(c.RateMilli, now)
	b.resize(c.Bytes)
	b.store.Describe(func(info *zone.Info) { info.Expression = c.Expression })
	switch was := b.shared.Swap(c.Sync); {
	case c.Sync && !was:
		b.share(now)
	case was && !c.Sync:
		b.Release(now) // nobody teaches it any more
		b.store.Unshare(now)
	}
}

// Settle drops what has no room in a zone that has become smaller, and returns how much: the sessions used least
// recently.
func (s *Session) Settle(now clock.Reading) (dropped int) {
	return s.settle(s.Info().Bytes, func() int { return s.keepUsed(now) })
}

// Settle is that of sessions: the pairs written first.
func (k *Keyval) Settle(now clock.Reading) (dropped int) {
	return k.settle(k.Info().Bytes, func() int { return k.keepWritten(now) })
}

// Settle is that of sessions: empty buckets first, then those used least recently.
func (b *Bucket) Settle(now clock.Reading) (dropped int) {
	empty := func(r *zone.Record) bool { return b.useless(r, now) }
	return b.settle(b.Info().Bytes, func() int { return b.keepUsed(now, empty) })
}

// Unbound lifts the limit while a state is loaded; Fit ends that, and returns how many pairs had no room.
func (k *Keyval) Unbound() { k.store.Unbound() }

// Fit limits a loaded zone to its size.
func (k *Keyval) Fit(bytes int64, now clock.Reading) (dropped int) {
	if k.store.Stats().RecordBytes > bytes {
		k.ForgetAgreed() // what is missing here afterwards was not deleted
	}
	return k.settle(bytes, func() int { return k.keepWritten(now) })
}

// resize changes the size, except that one that becomes smaller is only announced.
func (b *base) resize(bytes int64) {
	if bytes >= b.store.Limit() {
		b.store.SetBytes(bytes)
		return
	}
	b.store.Describe(func(info *zone.Info) { info.Bytes = bytes })
}

// settle changes the size; keep drops what has no room.
func (b *base) settle(bytes int64, keep func() int) (dropped int) {
	if bytes == b.store.Limit() {
		return 0
	}
	b.store.SetBytes(bytes)
	return keep()
}

// keepUsed drops the records used least recently, and useless ones before all.
func (b *base) keepUsed(now clock.Reading, useless ...func(r *zone.Record) bool) (dropped int) {
	dropped, _ = b.store.KeepNewest(func(r *zone.Record) uint64 {
		for _, is := range useless {
			if is(r) {
				return 0
			}
		}
		return uint64(math.MaxInt64 - r.IdleMS(now.MonoMS))
	}, now)
	if dropped > 0 {
		b.store.Incomplete()
	}
	return dropped
}

// keepWritten drops the pairs written first. They are missing until there is room again: then peers compare.
func (k *Keyval) keepWritten(now clock.Reading) (dropped int) {
	dropped, smallest := k.store.KeepNewest(func(r *zone.Record) uint64 { return r.Word0 }, now)
	if dropped > 0 {
		k.store.Lacked(zone.Foreign, smallest, k.store.Limit())
	}
	return dropped
}

// reshareSlackMS covers writes in progress, and a clock that was set back a little.
const reshareSlackMS = 1000

// reshare starts or ends sharing. A zone that returns to the cluster is like a node that was away: its journal goes on
// where it ended, and the peers get what was written meanwhile.
func (g *registers) reshare(c Change, now clock.Reading) {
	g.store.Describe(func(info *zone.Info) { info.Expression = c.Expression })
	switch was := g.shared.Swap(c.Sync); {
	case c.Sync && !was:
		since := stamp.At(g.sharedUntilMS.Load(), 0)
		g.tombstoneMS.Store(TombstoneLifeMS)
		g.store.Share(since, func(r *zone.Record) bool { return stampOf(r) >= since })
	case was && !c.Sync: // deletions go on to leave tombstones, for the return
		g.sharedUntilMS.Store(max(now.WallMS-reshareSlackMS, 1))
		g.store.Unshare(now)
	}
}

// share makes the costs that were counted alone, as far as they have not drained, current costs for the peers, rounded
// to whole requests.
func (b *Bucket) share(now clock.Reading) {
	b.store.Share(0, func(r *zone.Record) bool {
		level := max(int64(r.Word0)-b.drained(now.MonoMS-int64(r.Word1)), 0)
		unsent := r.Unsent()
		*unsent = uint32(min(int64(*unsent), (level+request/2)/request))
		return *unsent > 0
	})
}

// SetRate changes the rate from now on: what has drained so far has drained at the rate before.
func (b *Bucket) SetRate(milli int64, now clock.Reading) {
	if milli == b.rateMilli.Load() {
		return
	}
	for n := range zone.Shards {
		sh := b.store.ShardNumber(n)
		sh.Lock()
		for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
			if sh.Live(slot) {
				r := sh.At(slot)
				level, lastMS := b.excess(r, now)
				r.Word0, r.Word1 = uint64(level), uint64(lastMS)
			}
		}
		sh.Unlock()
	}
	b.rateMilli.Store(milli)
	b.store.Describe(func(info *zone.Info) { info.RateMilli = milli })
}

// Beside makes an empty zone for the records of a log that are to be merged into this one. It has no limit, because the
// log has what was deleted too, and it keeps deletions, so that they are merged.
func (k *Keyval) Beside() *Keyval {
	info := k.Info()
	b := NewKeyval(KeyvalConfig{
		Name: info.Name, Bytes: info.Bytes, TimeoutMS: info.TimeoutMS, Sync: true,
		kind: info.Kind, maxValue: k.maxValue, check: k.check,
	})
	b.Unbound()
	return b
}

// mergePieceBytes keeps the locks of both zones short.
const mergePieceBytes = 64 << 10

// Merge adds the records, deletions and clears of another zone, such as one that a state was loaded into, as if they
// had been made here: peers and the keeper of this zone's state get them too.
func (k *Keyval) Merge(other *Keyval, now clock.Reading) error {
	var buf []byte
	space := room{bytes: k.store.Limit(), carried: true}
	for shard := range zone.Shards {
		for cursor, done := uint64(0), false; !done; {
			buf, cursor, done = other.TeachShard(shard, cursor, buf[:0], mergePieceBytes, now)
			if len(buf) == 0 {
				continue
			}
			applied, err := k.merge(buf, space, math.MaxUint64, now)
			if err != nil {
				return err
			}
			k.keepRemote(buf, 0, applied, now)
		}
	}
	k.store.Wake(false)
	return nil
}
