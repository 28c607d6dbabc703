package kinds

import (
	"cmp"
	"slices"
	"sync/atomic"

	"starling/lib/clock"
	"starling/zone"
)

// HealthKind describes findings of health checks to the cluster and the store.
var HealthKind = &zone.Kind{
	Number: 6, Name: "health", Holds: "findings of health checks", Sums: true,
	Remedy: "until both nodes have \"sync\" in the \"health_check\" of the upstream, and releases that know it, each " +
		"checks the servers itself",
}

// Health has what the health checks of the nodes found: for each key a finding of this node, in the store, and those
// that other nodes have told. A node speaks only for itself, and what it told ends with it. Findings are told again all
// the time, so nothing is repaired: a lost one is replaced by the next.
type Health struct {
	living
	changed func(key []byte)
	// withdrawn are the own findings without a value, which are removed when the others know.
	withdrawn atomic.Int64

	speakers map[zone.Origin]*speaker // guarded by told
	foreign  atomic.Int64             // bytes of the others' findings
	lacked   atomic.Bool              // one of them had no room
}

// HealthConfig configures a zone of findings. It is always shared.
type HealthConfig struct {
	Name       string
	Expression string // compared with the peers'
	Bytes      int64
	// Incarnation is kept over a reload; 0 makes a new one.
	Incarnation uint64
	// Changed is called with the key of each finding that another node has told. It is called under a lock: it must
	// return at once, not call the zone, and not keep its argument. It may be nil.
	Changed func(key []byte)
}

// Limits of a finding: a key has the id of the check and the address of a server, a value has a few numbers and the
// reason of a failure.
const (
	MaxHealthKeyBytes   = 2 << 10
	MaxHealthValueBytes = 1 << 10
)

// NewHealth makes an empty zone of findings.
func NewHealth(cfg HealthConfig) *Health {
	h := &Health{changed: cfg.Changed, speakers: map[zone.Origin]*speaker{}}
	if h.changed == nil {
		h.changed = func([]byte) {}
	}
	h.store = zone.NewStore(zone.Info{
		Name: cfg.Name, Kind: HealthKind, Expression: cfg.Expression, Bytes: cfg.Bytes, Incarnation: cfg.Incarnation,
	}, true, h)
	h.shared.Store(true)
	return h
}

var _ zone.Living = (*Health)(nil)

// half of a zone is for the findings of this node, the other one for those of all others: neither locks the other out.
func (h *Health) half() int64 { return h.store.Limit() / 2 }

// Say tells the other nodes what this one found. It fails with ErrFull, ErrKey or ErrTooLong.
func (h *Health) Say(key, value []byte, now clock.Reading) error {
	switch {
	case len(key) == 0:
		return ErrKey
	case len(key) > MaxHealthKeyBytes, len(value) == 0, len(value) > MaxHealthValueBytes:
		return ErrTooLong
	}
	first, ok := h.say(key, value, now)
	if !ok {
		return ErrFull
	}
	if first {
		h.store.Wake(false)
	}
	return nil
}

func (h *Health) say(key, value []byte, now clock.Reading) (first, ok bool) {
	sh := h.store.Shard(zone.KeyHash(key))
	sh.Lock()
	defer sh.Unlock()
	slot, r := sh.Find(key)
	if r == nil {
		if slot, r = h.store.Insert(sh, key, value, h.half(), false, now.MonoMS); r == nil {
			h.store.Lacked(zone.Local, zone.CostBytes(len(key), len(value)), h.half())
			return false, false
		}
		return sh.MarkDirty(slot, r), true
	}
	empty := len(sh.Value(r)) == 0
	if !h.store.Replace(sh, slot, value, h.half(), false, now.MonoMS) {
		h.store.Lacked(zone.Local, zone.CostBytes(0, len(value)), h.half())
		return false, false
	}
	if empty {
		h.withdrawn.Add(-1)
	}
	return sh.MarkDirty(slot, sh.At(slot)), true
}

// Withdraw takes back what this node told under a key, if anything.
func (h *Health) Withdraw(key []byte, now clock.Reading) {
	sh := h.store.Shard(zone.KeyHash(key))
	sh.Lock()
	slot, r := sh.Find(key)
	first := false
	if r != nil && len(sh.Value(r)) > 0 {
		h.store.Replace(sh, slot, nil, h.store.Budget(), false, now.MonoMS) // it is shorter, so it has room
		h.withdrawn.Add(1)
		first = sh.MarkDirty(slot, sh.At(slot))
	}
	sh.Unlock()
	if first {
		h.store.Wake(false)
	}
}

// Own returns what this node tells under a key, nil for nothing.
func (h *Health) Own(key []byte) []byte {
	sh := h.store.Shard(zone.KeyHash(key))
	sh.Lock()
	defer sh.Unlock()
	if _, r := sh.Find(key); r != nil {
		return append([]byte(nil), sh.Value(r)...)
	}
	return nil
}

// Self is the origin by which other nodes know the findings of this one; 0 until the cluster shares the zone.
func (h *Health) Self() zone.Origin { return zone.Origin(h.self.Load()) }

// Finding is what another node told under a key. Its value must not be changed.
type Finding struct {
	From  zone.Origin
	Value []byte
	AtMS  int64 // monotonic, when it arrived here
	// Away means that the node is not connected.
	Away bool
}

// Told appends what other nodes told under a key, sorted by their origins.
func (h *Health) Told(dst []Finding, key []byte) []Finding {
	shard := zone.ShardOf(zone.KeyHash(key))
	start := len(dst)
	h.told.Lock()
	defer h.told.Unlock()
	for _, s := range h.speakers {
		if f, ok := s.said[shard][string(key)]; ok {
			dst = append(dst, Finding{From: s.name, Value: f.value, AtMS: f.atMS, Away: s.isAway})
		}
	}
	slices.SortFunc(dst[start:], func(a, b Finding) int { return cmp.Compare(a.From, b.From) })
	return dst
}

// Stats are the zone's figures. Bytes have the findings of all nodes, records only those of this one.
func (h *Health) Stats() zone.Stats {
	stats := h.store.Stats()
	foreign := h.foreign.Load()
	stats.Records -= min(h.withdrawn.Load(), stats.Records)
	stats.Bytes, stats.RecordBytes = stats.Bytes+foreign, stats.RecordBytes+foreign
	stats.Full = h.store.LacksRoom() || h.lacked.Load()
	return stats
}

// Sweep removes own findings that were withdrawn, and sent so.
func (h *Health) Sweep(sh *zone.Shard, now clock.Reading) {
	h.seenMS.Store(now.MonoMS)
	if h.withdrawn.Load() == 0 {
		return
	}
	for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
		if !sh.Live(slot) {
			continue
		}
		if r := sh.At(slot); len(sh.Value(r)) == 0 && !r.Dirty() {
			sh.Remove(slot)
			h.withdrawn.Add(-1)
		}
	}
}

// Hold is not needed: a finding replaces another one, in whatever order a zone learns.
func (h *Health) Hold([zone.Shards / 64]uint64) {}

// Release ends nothing, see Hold.
func (h *Health) Release(clock.Reading) {}

// Unpublish ends the sharing with another process of this node: what that told no longer counts.
func (h *Health) Unpublish() {
	h.told.Lock()
	defer h.told.Unlock()
	for _, s := range h.speakers {
		h.dropAll(s)
	}
}

// Unwrap returns the zone itself.
func (h *Health) Unwrap() zone.Shared { return h }
