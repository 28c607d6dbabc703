package kinds

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"

	"starling/zone"
)

// agreements are the zone's memory of when it held the same as others, kept over restarts if the zone has state. A zone
// with state continues under the lineage in its log, however often the process restarted.
type agreements struct {
	mu      sync.Mutex
	lineage uint64
	agreed  map[uint64]zone.Agreement // by the other's lineage
}

// maxAgreements bounds the agreements with past lives of stateless peers. The oldest is evicted.
const maxAgreements = 256

// agreedRecord is the log record of an agreement. Older releases ignore the bytes after ThroughMS, and write none.
func agreedRecord(lineage uint64, a zone.Agreement) []byte {
	record := binary.LittleEndian.AppendUint64([]byte{stateAgreed}, lineage)
	record = binary.LittleEndian.AppendUint64(record, a.Lineage)
	record = binary.LittleEndian.AppendUint64(record, uint64(a.ThroughMS))
	return binary.LittleEndian.AppendUint64(record, uint64(a.NotedMS))
}

// ofNobody is the lineage of an agreement that is none: it says through when deletions may have been given up for want
// of room. So a release before, which knows no such mark, reads the log, and keeps the mark when it writes a new one.
const ofNobody = 0

// gaveUpRecord is the log record of that mark, nil if no deletion was evicted. A log has the tombstones that came after
// it: a process that reads them back evicts them again, or keeps them.
func (k *Keyval) gaveUpRecord(lineage uint64) []byte {
	throughMS := k.GaveUpMS()
	if throughMS == 0 {
		return nil
	}
	return agreedRecord(lineage, zone.Agreement{Lineage: ofNobody, ThroughMS: throughMS})
}

// SetOrigin sets the lineage of a zone that starts empty.
func (k *Keyval) SetOrigin(self zone.Origin) {
	k.agreements.mu.Lock()
	defer k.agreements.mu.Unlock()
	if k.agreements.lineage == 0 {
		k.agreements.lineage = uint64(self)
	}
}

// Lineage is the same in all lives of a zone with state.
func (k *Keyval) Lineage() uint64 {
	k.agreements.mu.Lock()
	defer k.agreements.mu.Unlock()
	return k.agreements.lineage
}

// Agreed lists the stored agreements.
func (k *Keyval) Agreed() []zone.Agreement {
	k.agreements.mu.Lock()
	defer k.agreements.mu.Unlock()
	list := make([]zone.Agreement, 0, len(k.agreements.agreed))
	for _, a := range k.agreements.agreed {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b zone.Agreement) int { return int(a.ThroughMS - b.ThroughMS) })
	return list
}

// ForgetAgreed starts another lineage: a zone that lost records without a deletion is no longer the same, and the lost
// records must come back from the others instead of being deleted there.
func (k *Keyval) ForgetAgreed() {
	k.agreements.mu.Lock()
	defer k.agreements.mu.Unlock()
	k.agreements.lineage, k.agreements.agreed = 0, nil
}

// renewLineage is ForgetAgreed for a zone that the cluster shares: the peers are told of the new lineage.
func (k *Keyval) renewLineage() {
	k.agreements.mu.Lock()
	defer k.agreements.mu.Unlock()
	if k.agreements.lineage != 0 {
		k.agreements.lineage = rand.Uint64() | 1
	}
	k.agreements.agreed = nil
}

// KeepAgreed stores an agreement, on disk too if the zone has state. It does not wait for the disk.
func (k *Keyval) KeepAgreed(a zone.Agreement) {
	k.agreements.mu.Lock()
	k.agreements.keep(a)
	record := agreedRecord(k.agreements.lineage, a)
	k.agreements.mu.Unlock()
	if kept := k.kept.Load(); kept != nil {
		kept.remote(record)
	}
}

// AgreedUntil limits agreements to nowMS, on disk too.
func (k *Keyval) AgreedUntil(nowMS int64) {
	k.agreements.mu.Lock()
	later := k.agreements.until(nowMS)
	k.agreements.mu.Unlock()
	if kept := k.kept.Load(); later && kept != nil {
		kept.remote(binary.LittleEndian.AppendUint64([]byte{stateAgreedUntil}, uint64(nowMS)))
	}
}

// TellDeletions puts the tombstones stamped after sinceMS into the journal again.
func (k *Keyval) TellDeletions(sinceMS int64) {
	wake := false
	for number := range zone.Shards {
		sh := k.store.ShardNumber(number)
		sh.Lock()
		for slot := sh.OldestTombstone(); slot != 0; slot = sh.Newer(slot) {
			if r := sh.At(slot); stampOf(r).MS() > sinceMS {
				wake = sh.MarkDirty(slot, r) || wake
			}
		}
		sh.Unlock()
	}
	if wake {
		k.store.Wake(false)
	}
}

// until is called with mu held.
func (g *agreements) until(nowMS int64) (later bool) {
	for lineage, a := range g.agreed {
		if a.ThroughMS > nowMS {
			a.ThroughMS, later = nowMS, true
			g.agreed[lineage] = a
		}
	}
	return later
}

// keep is called with mu held.
func (g *agreements) keep(a zone.Agreement) {
	if g.agreed == nil {
		g.agreed = map[uint64]zone.Agreement{}
	}
	if before, known := g.agreed[a.Lineage]; known {
		if before.ThroughMS > a.ThroughMS || before.ThroughMS == a.ThroughMS && before.NotedMS >= a.NotedMS {
			return
		}
	}
	g.agreed[a.Lineage] = a
	if len(g.agreed) > maxAgreements {
		oldest := a
		for _, other := range g.agreed {
			if other.ThroughMS < oldest.ThroughMS {
				oldest = other
			}
		}
		delete(g.agreed, oldest.Lineage)
	}
}

// restoreAgreedUntil restores from the log that cluster time went back.
func (k *Keyval) restoreAgreedUntil(r *zone.Reader) {
	nowMS := int64(r.Uint64())
	if r.Failed() {
		return
	}
	k.agreements.mu.Lock()
	defer k.agreements.mu.Unlock()
	k.agreements.until(nowMS)
}

// restoreAgreed restores an agreement from the log.
func (k *Keyval) restoreAgreed(r *zone.Reader) {
	lineage, a := r.Uint64(), zone.Agreement{Lineage: r.Uint64(), ThroughMS: int64(r.Uint64())}
	if r.Len() > 0 {
		a.NotedMS = int64(r.Uint64())
	}
	if r.Failed() {
		return
	}
	k.agreements.mu.Lock()
	defer k.agreements.mu.Unlock()
	k.agreements.lineage = lineage
	if a.Lineage == ofNobody {
		raise(&k.gaveUpMS, a.ThroughMS)
		return
	}
	k.agreements.keep(a)
}
