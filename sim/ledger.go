package sim

import (
	"starling/lib/clock"
	"starling/zone"
	"starling/zone/kinds"
)

// This file knows the expected result. The ledger is the merge of everything that every host acknowledged, made at the
// moment of each write; what was only on hosts that crashed is removed again. After a quiet period each host must hold
// what the ledger holds, or newer: then no acknowledged record is missing unless a newer one replaced it, and no
// deleted one came back.

// ledgerBytes is enough for everything that a run writes.
const ledgerBytes = 1 << 30

func (w *World) newLedger() *kinds.Keyval {
	return kinds.NewKeyval(kinds.KeyvalConfig{Name: "ledger", Bytes: ledgerBytes, Sync: true})
}

// ledgerNow is the true time.
func (w *World) ledgerNow() clock.Reading {
	return clock.Reading{WallMS: startWallMS + w.nowMS, MonoMS: startWallMS + w.nowMS}
}

// enter merges some shards of a host's zone into the ledger.
func (w *World) enter(h *Host, first, count int) {
	w.merge(w.ledger, h.keyval, first, count, h.clusterNow())
}

// merge merges some shards of one zone into another that is the ledger's. Now is that of the source zone. Like a disk,
// the ledger rejects nothing, however far ahead it is stamped.
func (w *World) merge(to, from *kinds.Keyval, first, count int, now clock.Reading) {
	source := kinds.Restored{AheadMS: w.ledgerNow().WallMS - now.MonoMS}
	for shard := first; shard < first+count; shard++ {
		piece, _, _ := from.TeachShard(shard, 0, nil, 1<<30, now)
		if len(piece) == 0 {
			continue
		}
		if err := to.Restore(piece, &source, w.ledgerNow()); err != nil {
			w.failf("the ledger does not take shard %d: %v", shard, err)
		}
	}
}

// recount rebuilds the ledger from the remaining hosts: records that only a crashed host had are lost rightly. A host
// with state still has what is on its disk.
func (w *World) recount() {
	w.ledger = w.newLedger()
	for _, h := range w.Hosts {
		switch {
		case !h.down:
			w.enter(h, 0, zone.Shards)
		case h.keepsState && !h.left:
			var found kinds.Restored
			disk := w.newLedger() // by itself: some of its records depend on earlier ones
			for _, record := range h.disk {
				if err := disk.Restore(record, &found, w.ledgerNow()); err != nil {
					w.failf("the disk of host %d: %v", h.index, err)
				}
			}
			w.merge(w.ledger, disk, 0, zone.Shards, w.ledgerNow())
		}
	}
}

// mustMatchLedger fails if the ledger has a newer record than the host. The host may have more: records in flight when
// a host crashed have arrived or not.
func (w *World) mustMatchLedger(h *Host) {
	var want, got [zone.Shards]uint64
	both := w.newLedger()
	w.merge(both, w.ledger, 0, zone.Shards, w.ledgerNow())
	w.merge(both, h.keyval, 0, zone.Shards, h.clusterNow())
	both.Digests(&want)
	h.keyval.Digests(&got)
	for shard := range want {
		if want[shard] == got[shard] {
			continue
		}
		missing := w.pairsOf(both, shard, w.ledgerNow())
		held := w.pairsOf(h.keyval, shard, h.clusterNow())
		w.failf("shard %d of host %d holds %v, what was acknowledged is %v", shard, h.index, held, missing)
		return
	}
}

func (w *World) pairsOf(k *kinds.Keyval, shard int, now clock.Reading) map[string]string {
	pairs := map[string]string{}
	for p := range k.All(now) {
		if zone.ShardOf(zone.KeyHash(p.Key)) == shard {
			pairs[string(p.Key)] = string(p.Value)
		}
	}
	return pairs
}

// set writes a pair at a host and enters it into the ledger.
func (h *Host) set(key, value string) error {
	had := h.get(key)
	if err := h.keyval.Set([]byte(key), []byte(value), kinds.NoExpire, h.clusterNow()); err != nil {
		return err
	}
	h.world.wrote(h, key, had, value)
	h.world.did("host%d sets %s to %s", h.index, key, value)
	h.world.enter(h, zone.ShardOf(zone.KeyHash([]byte(key))), 1)
	return nil
}

// remove deletes a pair at a host; a missing one is no error.
func (h *Host) remove(key string) {
	had := h.get(key)
	if h.keyval.Delete([]byte(key), h.clusterNow()) == nil {
		h.world.did("host%d deletes %s", h.index, key)
		h.world.wrote(h, key, had, "")
		h.world.enter(h, zone.ShardOf(zone.KeyHash([]byte(key))), 1)
	}
}

func (h *Host) clear() error {
	err := h.keyval.Clear(h.clusterNow())
	h.world.did("host%d clears", h.index)
	h.world.enter(h, 0, zone.Shards)
	return err
}

func (h *Host) get(key string) string {
	value, _ := h.keyval.Get([]byte(key), h.clusterNow())
	return string(value)
}

// hit charges a bucket.
func (h *Host) hit(key string, times int) {
	h.world.did("host%d has %d requests of %s", h.index, times, key)
	for range times {
		h.bucket.Charge([]byte(key), h.clusterNow())
	}
}

// count is how many earlier requests the next one finds counted.
func (h *Host) count(key string) int64 {
	milli, _ := h.bucket.Look([]byte(key), h.clusterNow(), burstMilli)
	return milli / 1000
}
