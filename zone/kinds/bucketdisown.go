package kinds

import (
	"slices"

	"starling/lib/clock"
	"starling/zone"
)

// This file reverts what an impostor sent in an origin's name before the real node connected. The origin's own frames
// have the same sequences, so each of the impostor's would hide one of them.

// cameItself notes that a locked shard has the costs of an origin up to a sequence, from the origin's own frames or
// pieces.
func (b *Bucket) cameItself(shard int, name zone.Origin, sequence uint64, now clock.Reading) {
	o := b.origin(name, now)
	o.applied[shard] = max(o.applied[shard], sequence)
	o.itself[shard] = true
}

// Disown reverts frames that came in an origin's name, before the origin sends its journal. What others taught about it
// stays, with the frames that this counts. A shard that counts frames in its name may count anything, so it waits until
// the origin has taught it.
func (b *Bucket) Disown(from zone.Origin) {
	b.originsMu.Lock()
	o := b.origins[from]
	b.originsMu.Unlock()
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gap.drop(b)
	o.completed, o.gap = 0, nil
	for shard := range zone.Shards {
		sh := b.store.ShardNumber(shard)
		sh.Lock()
		b.held[shard].drop(b, from)
		if o.itself[shard] {
			o.applied[shard], o.itself[shard] = 0, false
			o.waitFor(shard)
		}
		sh.Unlock()
	}
}

// drop drops what waits of an origin. The shard is locked.
func (h *holding) drop(b *Bucket, from zone.Origin) {
	if h == nil {
		return
	}
	h.groups = slices.DeleteFunc(h.groups, func(group heldGroup) bool {
		if group.from == from {
			b.heldBytes.Add(-heldCost(group.records))
		}
		return group.from == from
	})
}

// waitFor makes a shard wait until the origin teaches it. The origin is locked.
func (o *origin) waitFor(shard int) {
	if o.gap == nil {
		o.gap = new(gap)
	}
	if o.gap.waiting[shard] == nil {
		o.gap.waiting[shard] = new(holding)
		o.gap.left++
	}
}
