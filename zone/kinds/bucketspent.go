package kinds

import (
	"math"

	"starling/lib/clock"
	"starling/zone"
)

// This file connects buckets with strict limits, which decide on requests with pieces of their own. What was spent
// there counts here when a zone is not strict any more, and the other way round when it becomes strict.

// LevelMilli is the level of a key's bucket now, in 1/1000 request.
func (b *Bucket) LevelMilli(key []byte, now clock.Reading) int64 {
	sh := b.store.Shard(zone.KeyHash(key))
	sh.Lock()
	defer sh.Unlock()
	_, r := sh.Find(key)
	if r == nil {
		return 0
	}
	return b.levelOf(r, now)
}

// Spend charges requests that were decided elsewhere, up to a full bucket: see SetBurst. A key without room for its
// record is left out.
func (b *Bucket) Spend(key []byte, requests int64, now clock.Reading) {
	if len(key) == 0 || len(key) > zone.MaxKeyBytes {
		return
	}
	if wake := b.spend(key, requests, now); wake != wakeNot {
		b.store.Wake(wake == wakeUrgent)
	}
}

func (b *Bucket) spend(key []byte, requests int64, now clock.Reading) waking {
	sh := b.store.Shard(zone.KeyHash(key))
	sh.Lock()
	defer sh.Unlock()
	slot, r := sh.Find(key)
	if r == nil {
		if slot, r = b.store.Insert(sh, key, nil, b.store.Limit(), true, now.MonoMS); r == nil {
			return wakeNot
		}
		r.Word1 = uint64(now.MonoMS)
	}
	sh.Use(slot, r, now.MonoMS)
	level := b.levelOf(r, now)
	room := max(b.burstMilli.Load()+request-level, 0)
	requests = min(max(requests, 0), (room+request-1)/request, math.MaxUint32-int64(*r.Unsent()))
	if requests == 0 {
		return wakeNot
	}
	r.Word0, r.Word1 = uint64(level+requests*request), uint64(now.MonoMS)
	*r.Unsent() += uint32(requests)
	if b.store.Synced() {
		sh.MarkDirty(slot, r)
		return wakeUrgent
	}
	return wakeNot
}

// LongKeys visits the keys with more than so many bytes. The key is valid during the call only, which must not use the
// zone.
func (b *Bucket) LongKeys(bytes int, visit func(key []byte)) {
	for number := range zone.Shards {
		sh := b.store.ShardNumber(number)
		sh.Lock()
		for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
			if !sh.Live(slot) {
				continue
			}
			if key := sh.Key(sh.At(slot)); len(key) > bytes {
				visit(key)
			}
		}
		sh.Unlock()
	}
}
