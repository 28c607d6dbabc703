package kinds

import (
	"encoding/binary"
	"slices"
	"sync"

	"starling/zone"
)

// agreements are what a zone remembers of when it held the same as others, over restarts where it keeps state. A zone
// with state goes on under the lineage that its log names: it is what it was, however often the process began anew.
type agreements struct {
	mu      sync.Mutex
	lineage uint64
	agreed  map[uint64]zone.Agreement // by the other's lineage
}

// maxAgreements bounds what the lives of stateless peers leave behind. The oldest goes first.
const maxAgreements = 256

// agreedRecord is the log record of an agreement.
func agreedRecord(lineage uint64, a zone.Agreement) []byte {
	record := binary.LittleEndian.AppendUint64([]byte{stateAgreed}, lineage)
	record = binary.LittleEndian.AppendUint64(record, a.Lineage)
	return binary.LittleEndian.AppendUint64(record, uint64(a.ThroughMS))
}

// SetOrigin names the lineage of a zone that begins here.
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

// Agreed lists what was remembered last.
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

// ForgetAgreed begins another lineage: a zone that has lost records without anybody having deleted them is not what it
// was, and what it lacks must come back from the others instead of going there too.
func (k *Keyval) ForgetAgreed() {
	k.agreements.mu.Lock()
	defer k.agreements.mu.Unlock()
	k.agreements.lineage, k.agreements.agreed = 0, nil
}

// KeepAgreed remembers an agreement, on disk too where the zone keeps state. Nobody waits for the disk.
func (k *Keyval) KeepAgreed(a zone.Agreement) {
	k.agreements.mu.Lock()
	k.agreements.keep(a)
	record := agreedRecord(k.agreements.lineage, a)
	k.agreements.mu.Unlock()
	if k.onRemote != nil {
		k.onRemote(record)
	}
}

// AgreedUntil makes agreements through a later time count through nowMS, on disk too.
func (k *Keyval) AgreedUntil(nowMS int64) {
	k.agreements.mu.Lock()
	later := k.agreements.until(nowMS)
	k.agreements.mu.Unlock()
	if later && k.onRemote != nil {
		k.onRemote(binary.LittleEndian.AppendUint64([]byte{stateAgreedUntil}, uint64(nowMS)))
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
	if before, known := g.agreed[a.Lineage]; known && before.ThroughMS >= a.ThroughMS {
		return
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

// restoreAgreedUntil takes from the log that cluster time went back.
func (k *Keyval) restoreAgreedUntil(r *zone.Reader) {
	nowMS := int64(r.Uint64())
	if r.Failed() {
		return
	}
	k.agreements.mu.Lock()
	defer k.agreements.mu.Unlock()
	k.agreements.until(nowMS)
}

// restoreAgreed takes an agreement from the log.
func (k *Keyval) restoreAgreed(r *zone.Reader) {
	lineage, a := r.Uint64(), zone.Agreement{Lineage: r.Uint64(), ThroughMS: int64(r.Uint64())}
	if r.Failed() {
		return
	}
	k.agreements.mu.Lock()
	defer k.agreements.mu.Unlock()
	k.agreements.lineage = lineage
	k.agreements.keep(a)
}
