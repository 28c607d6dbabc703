package kinds

import (
	"sync"
	"sync/atomic"

	"starling/lib/clock"
	"starling/zone"
)

// This file counts each cost once while a node is being taught; zone/DESIGN.md has the argument.
//
// Locks, in this order: an origin's, the store's between frames, a shard's, originsMu.

// origin is the state of one life of one peer: what was applied of it.
type origin struct {
	mu        sync.Mutex // held while one of its frames is applied
	completed uint64     // the last frame applied or given up; under mu
	// applied is the last frame whose costs are in a shard, applied or taught. Each under its shard's lock.
	applied [zone.Shards]uint64
	// itself marks the shards for which the origin itself sent frames or pieces. For others, applied is what other
	// nodes taught. Each under its shard's lock.
	itself [zone.Shards]bool
	usedMS atomic.Int64
	spoke  atomic.Bool // it sent a frame: it is not only known from other nodes
	gap    *gap        // under mu
}

// maxOrigins bounds the memory for restarting peers (2 KB each). The one unused longest is evicted.
const maxOrigins = 512

// heardOnlyMS is how much earlier an origin without frames is evicted: a teacher can name any number of them.
const heardOnlyMS = 1 << 40

// origin returns the state of an origin and creates it if needed.
func (b *Bucket) origin(name zone.Origin, now clock.Reading) *origin {
	b.originsMu.Lock()
	defer b.originsMu.Unlock()
	o := b.origins[name]
	if o == nil {
		if len(b.origins) >= maxOrigins {
			b.forgetOldestOrigin()
		}
		o = new(origin)
		b.origins[name] = o
	}
	o.usedMS.Store(now.MonoMS)
	return o
}

func (b *Bucket) forgetOldestOrigin() {
	var oldest zone.Origin
	oldestMS := int64(1<<63 - 1)
	for name, o := range b.origins {
		used := o.usedMS.Load()
		if !o.spoke.Load() {
			used -= heardOnlyMS
		}
		if used < oldestMS {
			oldest, oldestMS = name, used
		}
	}
	if o := b.origins[oldest]; o != nil && o.mu.TryLock() {
		o.gap.drop(b)
		o.mu.Unlock()
	}
	delete(b.origins, oldest)
}

// SetOrigin names this node's life in taught pieces. The frames of another one are dropped: peers would count them
// again.
func (b *Bucket) SetOrigin(self zone.Origin) {
	if before := b.self.Swap(uint64(self)); before != 0 && before != uint64(self) {
		b.store.RestartJournal()
	}
}

// holding has the costs of one shard that wait until it is taught.
type holding struct{ groups []heldGroup }

type heldGroup struct {
	from     zone.Origin
	sequence uint64
	ageMS    int64
	atMonoMS int64
	records  []byte // of one group, with its end
}

// maxHeldBytes bounds the waiting costs. A shard that would exceed it stops waiting and takes the greater levels when
// it is taught.
const maxHeldBytes = 16 << 20

// Hold makes remote costs for shards wait until each shard is taught. Own costs that are still in the journal are kept
// too, because the teacher may not have seen them.
func (b *Bucket) Hold(shards [zone.Shards / 64]uint64) {
	b.store.BetweenFrames(func() {
		var fresh [zone.Shards / 64]uint64
		for n := range zone.Shards {
			if shards[n/64]&(1<<(n%64)) == 0 {
				continue
			}
			sh := b.store.ShardNumber(n)
			sh.Lock()
			if b.held[n] == nil {
				b.held[n] = new(holding)
				b.holding.Add(1)
				fresh[n/64] |= 1 << (n % 64)
			}
			sh.Unlock()
		}
		journal := b.store.Journal()
		for sequence := journal.Tail(); sequence < journal.Head(); sequence++ {
			if payload, _, flushedMS, ok := journal.Frame(sequence); ok {
				b.keepOwn(fresh, sequence, payload, flushedMS)
			}
		}
	})
}

// Release ends the wait of all shards and applies the held costs.
func (b *Bucket) Release(now clock.Reading) {
	for n := range zone.Shards {
		sh := b.store.ShardNumber(n)
		sh.Lock()
		b.release(sh, now)
		sh.Unlock()
	}
}

// release applies the held costs of a shard, none of which has been applied before. The shard is locked.
func (b *Bucket) release(sh *zone.Shard, now clock.Reading) {
	held := b.endHold(sh.Number())
	if held == nil {
		return
	}
	var applied zone.Applied
	for _, group := range held.groups {
		if group.from != b.selfOrigin() {
			b.addHeld(sh, &group, now, &applied)
			b.cameItself(sh.Number(), group.from, group.sequence, now)
		}
	}
	b.store.Count(applied)
}

func (b *Bucket) endHold(shard int) *holding {
	held := b.held[shard]
	if held != nil {
		b.held[shard] = nil
		b.holding.Add(-1)
		for _, group := range held.groups {
			b.heldBytes.Add(-heldCost(group.records))
		}
	}
	return held
}

func (b *Bucket) selfOrigin() zone.Origin { return zone.Origin(b.self.Load()) }

func (b *Bucket) addHeld(sh *zone.Shard, group *heldGroup, now clock.Reading, applied *zone.Applied) {
	r := zone.Read(group.records)
	b.addGroup(sh, &r, group.ageMS+max(now.MonoMS-group.atMonoMS, 0), now, applied)
}

// heldCost is the memory of a held group: most are small, so the fixed part matters.
func heldCost(records []byte) int64 { return int64(len(records)) + 64 }

// readGroup copies the next group of a frame; ok is false if no correct peer can have written it.
func readGroup(
	from zone.Origin,
	sequence uint64,
	r *zone.Reader,
	ageMS int64,
	now clock.Reading,
) (group heldGroup, ok bool) {
	whole := r.Rest()
	skipGroup(r)
	records := whole[:len(whole)-r.Len()]
	if r.Failed() {
		return group, false
	}
	return heldGroup{from, sequence, ageMS, now.MonoMS, append([]byte(nil), records...)}, true
}

// holdGroup keeps the next group of a frame. The shard is locked.
func (b *Bucket) holdGroup(
	shard int,
	from zone.Origin,
	sequence uint64,
	r *zone.Reader,
	ageMS int64,
	now clock.Reading,
) {
	group, ok := readGroup(from, sequence, r, ageMS, now)
	if !ok {
		return
	}
	held := b.held[shard]
	held.groups = append(held.groups, group)
	if b.heldBytes.Add(heldCost(group.records)) > maxHeldBytes {
		b.release(b.store.ShardNumber(shard), now)
	}
}

// Framed keeps the own costs of held shards separate: a teacher may have seen them or not. The store calls it before
// any shard can be cut.
func (b *Bucket) Framed(sequence uint64, payload []byte, now clock.Reading) {
	if b.holding.Load() == 0 {
		return
	}
	all := [zone.Shards / 64]uint64{1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1}
	b.keepOwn(all, sequence, payload, now.MonoMS)
}

// keepOwn keeps the groups of one own frame that are for the given shards.
func (b *Bucket) keepOwn(shards [zone.Shards / 64]uint64, sequence uint64, payload []byte, monoMS int64) {
	r := zone.Read(payload)
	r.Byte()
	for r.Len() > 0 {
		shard := int(r.Byte())
		sh := b.store.ShardNumber(shard)
		sh.Lock()
		if b.held[shard] != nil && shards[shard/64]&(1<<(shard%64)) != 0 {
			b.holdGroup(shard, b.selfOrigin(), sequence, &r, 0, clock.Reading{MonoMS: monoMS})
		} else {
			skipGroup(&r)
		}
		sh.Unlock()
	}
}

// learnHeld makes the held shard the teacher's plus all costs that the teacher had not seen. The shard was just cut, so
// each own cost is in a frame, and each such frame since Hold is among the held ones.
func (b *Bucket) learnHeld(
	sh *zone.Shard,
	held *holding,
	from []seen,
	r *zone.Reader,
	now clock.Reading,
	applied *zone.Applied,
) {
	taught := map[string]struct{}{}
	b.learnRecords(sh, r, now, applied, func(record *zone.Record, _ int64) bool {
		taught[string(sh.Key(record))] = struct{}{}
		return true
	})
	b.endHold(sh.Number())
	if r.Failed() {
		return
	}
	until := sequences(from)
	for i := range held.groups {
		group := &held.groups[i]
		if group.sequence <= until[group.from] {
			continue
		}
		if group.from == b.selfOrigin() {
			b.addOwnHeld(sh, group, taught, now)
			continue
		}
		b.addHeld(sh, group, now, applied)
		b.cameItself(sh.Number(), group.from, group.sequence, now)
	}
}

// addOwnHeld adds own costs to records whose level is now the teacher's; the other records already have them.
func (b *Bucket) addOwnHeld(sh *zone.Shard, group *heldGroup, taught map[string]struct{}, now clock.Reading) {
	r := zone.Read(group.records)
	for {
		key, requests, more := readBucket(&r, maxCosts)
		if !more {
			return
		}
		if _, ok := taught[string(key)]; ok {
			b.addTo(sh, key, requests*request, max(now.MonoMS-group.atMonoMS, 0), now)
		}
	}
}

// moveOn notes that a locked shard has the costs of origins up to a sequence.
func (b *Bucket) moveOn(shard int, from []seen, now clock.Reading) {
	self := b.selfOrigin()
	for _, s := range from {
		if s.origin == self {
			continue
		}
		o := b.origin(s.origin, now)
		o.applied[shard] = max(o.applied[shard], s.sequence)
	}
}
