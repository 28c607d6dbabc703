package kinds

import (
	"cmp"
	"encoding/binary"
	"sync/atomic"

	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// ValueType is the way in which a key is looked up.
type ValueType uint8

// The types of keyval_zone's type= parameter.
const (
	TypeString ValueType = iota // the record of exactly this key
	TypeIP                      // the record is an address or a network; the most specific one that contains the key
	TypePrefix                  // the record is a prefix of the key; the longest one matches
)

// KeyvalKind describes key-value pairs to the cluster and the store.
var KeyvalKind = &zone.Kind{Number: 2, Name: "keyval", Holds: "key-value pairs", Buries: true}

// Keyval maps keys to values (keyval_zone).
type Keyval struct {
	registers
	agreements agreements
	match      matcher // nil for TypeString
	// kept is the keeper of the zone's state, nil if there is none.
	kept atomic.Pointer[keeper]
}

// keeper gets the log record of each change, see OnCommit.
type keeper struct {
	local  func(record []byte) (wait func() error, err error)
	remote func(payload []byte)
	all    func() error // see OnKeep
}

// KeyvalConfig configures a zone of key-value pairs.
type KeyvalConfig struct {
	Name       string
	Expression string // compared with the peers'; with the type
	Bytes      int64
	// TombstoneBytes is the additional memory of tombstones; 0 means as much again, at least 1 MB.
	TombstoneBytes int64
	Type           ValueType
	TimeoutMS      int64 // 0: pairs never expire
	Sync           bool
	Clock          *stamp.Clock // of this node, shared by its zones; nil makes an own one
	// Incarnation is kept over a reload; 0 makes a new one.
	Incarnation uint64

	kind     *zone.Kind // nil: KeyvalKind
	maxValue int        // 0: MaxValueBytes
	check    func(key, value []byte) error
	changed  func(key []byte)
}

// MaxValueBytes bounds a value: the API's body is smaller by default, and a frame of this size can still be sent.
const MaxValueBytes = 1 << 20

// NoExpire as expireMS of a write means the zone's timeout.
const NoExpire int64 = 0

// lingerMS is how long expired pairs are still counted (records_total): NGINX Plus removes them some time later, too,
// and a client that writes a pair, waits for its timeout and reads the figures expects to see it.
const lingerMS = 1000

// NewKeyval makes an empty zone of key-value pairs.
func NewKeyval(cfg KeyvalConfig) *Keyval {
	k := &Keyval{registers: registers{
		clock: cfg.Clock, maxValue: cmp.Or(cfg.maxValue, MaxValueBytes), lingerMS: lingerMS,
		check: cfg.check, changed: cfg.changed,
	}}
	if k.clock == nil {
		k.clock = new(stamp.Clock)
	}
	if cfg.Sync {
		k.tombstoneMS.Store(TombstoneLifeMS)
	}
	switch cfg.Type {
	case TypeIP:
		k.match = newNetworks()
	case TypePrefix:
		k.match = newPrefixes()
	}
	if k.match != nil {
		k.watch = k.match
	}
	k.timeoutMS.Store(cfg.TimeoutMS)
	k.store = zone.NewStore(zone.Info{
		Name: cfg.Name, Kind: cmp.Or(cfg.kind, KeyvalKind), Expression: cfg.Expression,
		Bytes: cfg.Bytes, TimeoutMS: cfg.TimeoutMS, Incarnation: cfg.Incarnation,
	}, cfg.Sync, k)
	k.store.LimitTombstones(cfg.TombstoneBytes)
	k.shared.Store(cfg.Sync)
	return k
}

var (
	_ zone.Remembering = (*Keyval)(nil)
	_ zone.Durable     = (*Keyval)(nil)
)

// OnCommit sets the keepers of the changes of a zone with state. local gets the records of local writes. The function
// it returns waits for the disk: a write is acknowledged when it has returned nil, a batch when that of its last record
// has. remote gets payloads of peers. Both are called without locks, must not keep their arguments, and Restore reads
// them back. A reload can replace them.
func (k *Keyval) OnCommit(local func(record []byte) (wait func() error, err error), remote func(payload []byte)) {
	next := &keeper{local: local, remote: remote}
	if before := k.kept.Load(); before != nil {
		next.all = before.all // until OnKeep: a Keep meanwhile must wait too
	}
	k.kept.Store(next)
}

// OnCommitNothing ends OnCommit: the zone has no state any more. Deletions leave tombstones from now on: a reload can
// bring the state back, with what was deleted meanwhile.
func (k *Keyval) OnCommitNothing() {
	k.tombstoneMS.Store(TombstoneLifeMS)
	k.hadState.Store(true)
	k.kept.Store(nil)
}

// OnKeep sets how to wait until all that OnCommit's functions got is on disk. It is called after OnCommit.
func (k *Keyval) OnKeep(all func() error) {
	kept := *k.kept.Load()
	kept.all = all
	k.kept.Store(&kept)
}

// Keep waits until all that the zone holds is on disk; it returns at once if the zone has no state.
func (k *Keyval) Keep() error {
	kept := k.kept.Load()
	if kept == nil || kept.all == nil {
		return nil
	}
	return kept.all()
}

// AppendValue appends the value of a key, looked up by the type of the zone.
func (k *Keyval) AppendValue(dst, key []byte, now clock.Reading) ([]byte, bool) {
	if k.match != nil {
		return k.match.lookup(k, dst, key, now)
	}
	return k.appendExact(dst, key, now)
}

func (k *Keyval) appendExact(dst, key []byte, now clock.Reading) ([]byte, bool) {
	sh := k.store.Shard(zone.KeyHash(key))
	sh.Lock()
	defer sh.Unlock()
	_, r := k.findLive(sh, key, now)
	if r == nil {
		return dst, false
	}
	return append(dst, sh.Value(r)...), true
}

// Get returns the value stored under exactly this key, as the API reads it.
func (k *Keyval) Get(key []byte, now clock.Reading) (value []byte, ok bool) {
	key, err := k.canonical(key)
	if err != nil {
		return nil, false
	}
	return k.appendExact(nil, key, now)
}

// canonical is the spelling under which a key is stored.
func (k *Keyval) canonical(key []byte) ([]byte, error) {
	if len(key) == 0 {
		return nil, ErrKey
	}
	if len(key) > zone.MaxKeyBytes {
		return nil, ErrTooLong
	}
	if k.match != nil {
		return k.match.canonical(key)
	}
	return key, nil
}

// Set writes a pair whether or not the key exists. expireMS is the life of this pair, or NoExpire. It fails with
// ErrFull, ErrKey, ErrTooLong, or the error of OnCommit's local; in the last case the write is in memory.
func (k *Keyval) Set(key, value []byte, expireMS int64, now clock.Reading) error {
	b := k.Batch(now)
	return cmp.Or(b.write(key, value, expireMS, always), b.Commit())
}

// Add writes a pair that must not exist: ErrExists.
func (k *Keyval) Add(key, value []byte, expireMS int64, now clock.Reading) error {
	b := k.Batch(now)
	return cmp.Or(b.Add(key, value, expireMS), b.Commit())
}

// Update writes a pair that must exist: ErrNotFound.
func (k *Keyval) Update(key, value []byte, expireMS int64, now clock.Reading) error {
	b := k.Batch(now)
	return cmp.Or(b.write(key, value, expireMS, present), b.Commit())
}

// Delete removes a pair on all nodes, or returns ErrNotFound.
func (k *Keyval) Delete(key []byte, now clock.Reading) error {
	b := k.Batch(now)
	return cmp.Or(b.Delete(key), b.Commit())
}

// Clear removes all pairs on all nodes.
func (k *Keyval) Clear(now clock.Reading) error {
	cleared := k.clearAll(now)
	e := registerEncoder{zone: &k.registers}
	record := e.Begin(nil, now)
	for shard := range zone.Shards {
		record = append(e.AppendClear(append(record, byte(shard)), cleared), zone.GroupEnd)
	}
	return k.keepLocal(record)
}

// keepLocal passes a record to the keeper of the zone's state, if there is one, and waits for the disk.
func (k *Keyval) keepLocal(record []byte) error {
	kept := k.kept.Load()
	if kept == nil {
		return nil
	}
	wait, err := kept.local(record)
	if err != nil {
		return err
	}
	return wait()
}

// Stats are the zone's figures. A zone of pairs evicts none, so it is full if the smallest pair has no room.
func (k *Keyval) Stats() zone.Stats {
	stats := k.store.Stats()
	stats.Full = stats.Full || stats.RecordBytes+zone.CostBytes(1, 0) > k.LocalLimit()
	return stats
}

// Len is the number of pairs, some of which may just have expired.
func (k *Keyval) Len() int { return int(k.Stats().Records) }

// Apply merges one frame of a peer's journal.
func (k *Keyval) Apply(
	from zone.Origin,
	sequence uint64,
	payload []byte,
	ageMS int64,
	now clock.Reading,
) (zone.Applied, error) {
	applied, err := k.registers.Apply(from, sequence, payload, ageMS, now)
	k.keepRemote(payload, ageMS, applied, now)
	return applied, err
}

// Learn merges a taught piece.
func (k *Keyval) Learn(payload []byte, now clock.Reading) (zone.Applied, error) {
	applied, err := k.registers.Learn(payload, now)
	k.keepRemote(payload, 0, applied, now)
	return applied, err
}

// Mend merges the output of a peer's AppendRecords.
func (k *Keyval) Mend(payload []byte, trust zone.Trust, now clock.Reading) (zone.Applied, error) {
	var gone []byte
	e := registerEncoder{zone: &k.registers}
	applied, err := k.mend(payload, trust, now, func(shard int, key []byte, w *write) {
		if len(gone) == 0 {
			gone = e.Begin(gone, now)
		}
		gone = append(e.appendWrite(append(gone, byte(shard)), key, w), zone.GroupEnd)
	})
	k.keepRemote(payload, 0, applied, now)
	if kept := k.kept.Load(); kept != nil && len(gone) > 0 {
		kept.remote(gone) // after the payload, which has the records that they delete; does not wait for the disk
	}
	return applied, err
}

// keepRemote writes records of peers to the log.
func (k *Keyval) keepRemote(payload []byte, ageMS int64, applied zone.Applied, now clock.Reading) {
	kept := k.kept.Load()
	if kept == nil || applied.Won+applied.Cleared == 0 {
		return
	}
	if applied.Refused+applied.Ahead > 0 {
		k.keepStanding(kept, payload, now)
		return
	}
	d := registerDecoder{Reader: zone.Read(payload)}
	d.begin(ageMS, now)
	kept.remote(append(binary.AppendVarint([]byte{stateFrom}, d.aheadMS), payload...))
}

// standingPieceBytes is the size from which a log record of keepStanding is passed on.
const standingPieceBytes = 64 << 10

// keepStanding writes to the log the current records for the keys in a payload that the zone did not accept completely.
// The payload itself, replayed, could take the room of writes that were acknowledged here, or bring rejected stamps.
// Without any of it, the log would lack the records that made room for later writes: a shorter value, a deletion. In
// both cases the node would restart with other contents.
func (k *Keyval) keepStanding(kept *keeper, payload []byte, now clock.Reading) {
	d := registerDecoder{Reader: zone.Read(payload)}
	d.begin(0, now)
	e := registerEncoder{zone: &k.registers}
	var record []byte
	for d.Len() > 0 && !d.Failed() {
		if len(record) == 0 {
			record = e.Begin(record, now)
		}
		record = k.appendStanding(record, &d, &e)
		if len(record) >= standingPieceBytes || d.Len() == 0 {
			kept.remote(record)
			record = record[:0]
		}
	}
}

// appendStanding appends the current records for the keys of one group.
func (k *Keyval) appendStanding(record []byte, d *registerDecoder, e *registerEncoder) []byte {
	number := d.Byte()
	sh := k.store.ShardNumber(int(number))
	sh.Lock()
	defer sh.Unlock()
	record = append(record, number)
	for {
		key, _, more := d.record(&k.registers)
		switch {
		case !more:
			return append(record, zone.GroupEnd)
		case len(key) == 0 && sh.Clear() != 0:
			record = e.AppendClear(record, sh.Clear())
		case len(key) == 0:
		default:
			if _, r := sh.Find(key); r != nil {
				record = e.AppendChange(record, r, sh.Key(r), sh.Value(r))
			}
		}
	}
}
