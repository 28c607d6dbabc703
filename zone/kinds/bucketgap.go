package kinds

import (
	"starling/lib/clock"
	"starling/zone"
)

// This file handles an overrun: frames of an origin are lost, and their costs come only with the levels that it
// teaches. Until the origin has taught a shard, the costs of its later frames wait. So applied never claims more than
// the shard contains, also to nodes that this one teaches meanwhile.

// gap has the shards that lack costs of an origin, and the costs that wait for them. Guarded by the origin's lock.
type gap struct {
	waiting [zone.Shards]*holding // nil where nothing is missing
	left    int
}

// Forfeit advances an origin's sequence past frames that are lost for good. Their costs are missing until the origin
// teaches, and later ones wait until then, including held ones.
func (b *Bucket) Forfeit(from zone.Origin, to uint64) {
	o := b.origin(from, clock.Reading{})
	o.mu.Lock()
	defer o.mu.Unlock()
	to = max(to, 1)
	o.completed = max(believed(o.completed, to), to-1)
	for shard := range zone.Shards {
		o.waitFor(shard)
		sh := b.store.ShardNumber(shard)
		sh.Lock()
		o.applied[shard] = believed(o.applied[shard], to)
		o.gap.waiting[shard].takeHeld(b.held[shard], from, to)
		sh.Unlock()
	}
}

// takeHeld moves the groups of an origin's frames from a sequence on here, before those that arrived after a gap. The
// shard is locked.
func (h *holding) takeHeld(held *holding, from zone.Origin, first uint64) {
	if held == nil {
		return
	}
	var stay, wait []heldGroup
	for _, group := range held.groups {
		if group.from == from && group.sequence >= first {
			wait = append(wait, group)
		} else {
			stay = append(stay, group)
		}
	}
	held.groups, h.groups = stay, append(wait, h.groups...)
}

// Lacks returns the shards that lack costs of an origin, which the origin must teach.
func (b *Bucket) Lacks(from zone.Origin) (shards [zone.Shards / 64]uint64) {
	b.originsMu.Lock()
	o := b.origins[from]
	b.originsMu.Unlock()
	if o == nil {
		return shards
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for shard := 0; o.gap != nil && shard < zone.Shards; shard++ {
		if o.gap.misses(shard) {
			shards[shard/64] |= 1 << (shard % 64)
		}
	}
	return shards
}

func (g *gap) misses(shard int) bool { return g != nil && g.waiting[shard] != nil }

// wait keeps the next group of a frame. A group that would take too much memory ends the wait of its shard, whose
// missing costs stay missing. The origin and the shard are locked.
func (b *Bucket) wait(o *origin, sh *zone.Shard, group heldGroup, now clock.Reading, applied *zone.Applied) {
	held := o.gap.waiting[sh.Number()]
	held.groups = append(held.groups, group)
	if b.heldBytes.Add(heldCost(group.records)) > maxHeldBytes {
		b.endGap(o, sh, now, applied)
	}
}

// endGap adds what waited for a shard and is not contained in the taught levels. The origin and the shard are locked.
func (b *Bucket) endGap(o *origin, sh *zone.Shard, now clock.Reading, applied *zone.Applied) {
	shard := sh.Number()
	if !o.gap.misses(shard) {
		return
	}
	for i := range o.gap.waiting[shard].groups {
		group := &o.gap.waiting[shard].groups[i]
		b.heldBytes.Add(-heldCost(group.records))
		if group.sequence > o.applied[shard] {
			b.addHeld(sh, group, now, applied)
			o.applied[shard], o.itself[shard] = group.sequence, true
		}
	}
	o.gap.waiting[shard] = nil
	if o.gap.left--; o.gap.left == 0 {
		o.gap = nil
	}
}

// drop frees the memory of what waits.
func (g *gap) drop(b *Bucket) {
	if g == nil {
		return
	}
	for _, held := range g.waiting {
		if held == nil {
			continue
		}
		for _, group := range held.groups {
			b.heldBytes.Add(-heldCost(group.records))
		}
	}
}
