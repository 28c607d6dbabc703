package kinds

import (
	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// SessionKind describes sessions to the cluster and the store.
var SessionKind = &zone.Kind{Number: 1, Name: "session", Holds: "sessions"}

// Session maps session keys to servers (sticky learn). The newest binding wins on all nodes.
type Session struct{ registers }

// SessionConfig configures a zone of sessions.
type SessionConfig struct {
	Name       string
	Expression string // the create and lookup variables, compared with the peers'
	Bytes      int64
	// TombstoneBytes is the additional memory of tombstones; 0 means as much again, at least 1 MB.
	TombstoneBytes int64
	TimeoutMS      int64 // at least 1
	Sync           bool
	// Clock stamps the writes of this node; all its zones share one. Nil makes an own one.
	Clock *stamp.Clock
	// Incarnation is kept over a reload; 0 makes a new one.
	Incarnation uint64
}

// MaxServerBytes bounds a server's id: a route (32 bytes in nginx), an MD5 in hex or an address.
const MaxServerBytes = 64

// sessionGrace: a touch moves the expiry, and is replicated, only when it moves by an eighth of the timeout. So readers
// allow that much more.
const sessionGrace = 8

// TombstoneLifeMS is the tombstone lifetime: a node that was disconnected for less receives the deletion.
const TombstoneLifeMS = 3_600_000

// NewSession makes an empty zone of sessions.
func NewSession(cfg SessionConfig) *Session {
	s := &Session{
		registers{
			clock: cfg.Clock, grace: sessionGrace, touched: true, evicts: true, dictionary: true,
			maxValue: MaxServerBytes,
		},
	}
	if s.clock == nil {
		s.clock = new(stamp.Clock)
	}
	if cfg.Sync {
		s.tombstoneMS.Store(TombstoneLifeMS)
	}
	s.timeoutMS.Store(cfg.TimeoutMS)
	s.store = zone.NewStore(zone.Info{
		Name: cfg.Name, Kind: SessionKind, Expression: cfg.Expression,
		Bytes: cfg.Bytes, TimeoutMS: cfg.TimeoutMS, Incarnation: cfg.Incarnation,
	}, cfg.Sync, s)
	s.store.LimitTombstones(cfg.TombstoneBytes)
	s.shared.Store(cfg.Sync)
	return s
}

var (
	_ zone.Comparable = (*Session)(nil)
	_ zone.Findable   = (*Session)(nil)
)

// AppendServer appends the id of the server that the session is bound to. It does not touch the session.
func (s *Session) AppendServer(dst, key []byte, now clock.Reading) ([]byte, bool) {
	sh := s.store.Shard(zone.KeyHash(key))
	sh.Lock()
	defer sh.Unlock()
	_, r := s.findLive(sh, key, now)
	if r == nil {
		return dst, false
	}
	return append(dst, sh.Value(r)...), true
}

// Lookup is AppendServer for callers that may allocate.
func (s *Session) Lookup(key []byte, now clock.Reading) (server string, ok bool) {
	var buf [MaxServerBytes]byte
	id, ok := s.AppendServer(buf[:0], key, now)
	return string(id), ok
}

// Bind binds a session to a server, creates it if needed, and touches it. It fails with ErrFull when no other session
// can be evicted, and with ErrTooLong.
func (s *Session) Bind(key, server []byte, now clock.Reading) error {
	_, err := s.Assign(key, server, true, now)
	return err
}

// Rebind is Bind for an existing session; otherwise it does nothing and returns ErrNotFound.
func (s *Session) Rebind(key, server []byte, now clock.Reading) error {
	_, err := s.Assign(key, server, false, now)
	return err
}

// Assign is Bind with create, otherwise Rebind. changed means that the session is new or moved to another server, and
// was not only touched.
func (s *Session) Assign(key, server []byte, create bool, now clock.Reading) (changed bool, err error) {
	if len(key) == 0 || len(key) > zone.MaxKeyBytes {
		return false, ErrKey
	}
	if len(server) == 0 || len(server) > MaxServerBytes {
		return false, ErrTooLong
	}
	first, changed, err := s.tryBind(key, server, create, now)
	for range roomAttempts {
		if err != ErrFull || !s.store.Synced() {
			break
		}
		// All sessions that could be evicted wait to be sent: flush, then try again.
		s.store.Flush(now)
		s.store.MakeRoom(zone.CostBytes(len(key), len(server)), s.store.Limit(), now.MonoMS)
		first, changed, err = s.tryBind(key, server, create, now)
	}
	if first {
		s.store.Wake(false)
	}
	return changed, err
}

func (s *Session) tryBind(key, server []byte, create bool, now clock.Reading) (first, changed bool, err error) {
	hash := zone.KeyHash(key)
	sh := s.store.Shard(hash)
	sh.Lock()
	defer sh.Unlock()
	slot, r := s.findLive(sh, key, now)
	if r == nil && !create {
		return false, false, ErrNotFound
	}
	if r != nil && string(sh.Value(r)) == string(server) {
		return s.touch(sh, slot, r, now), false, nil
	}
	var old *zone.Record
	if slot != 0 {
		old = sh.At(slot) // perhaps a tombstone or expired: the new stamp must be above it
	}
	w := write{endMS: now.MonoMS + s.timeoutMS.Load(), value: server}
	s.stampWrite(sh, hash, &w, old, now)
	did, slot := s.put(sh, hash, key, &w, room{bytes: s.store.Limit(), evict: true}, now)
	if did != won {
		return false, false, ErrFull
	}
	return sh.MarkDirty(slot, sh.At(slot)), true, nil
}

// Touch moves the expiry of a session and reports whether it exists.
func (s *Session) Touch(key []byte, now clock.Reading) bool {
	sh := s.store.Shard(zone.KeyHash(key))
	sh.Lock()
	slot, r := s.findLive(sh, key, now)
	first := r != nil && s.touch(sh, slot, r, now)
	sh.Unlock()
	if first {
		s.store.Wake(false)
	}
	return r != nil
}

// touch keeps the stamp: a touch must never beat a rebinding on another node.
func (s *Session) touch(sh *zone.Shard, slot zone.Slot, r *zone.Record, now clock.Reading) (first bool) {
	sh.Use(slot, r, now.MonoMS)
	timeoutMS := s.timeoutMS.Load()
	endMS := now.MonoMS + timeoutMS
	if endMS-int64(r.Word1) < max(timeoutMS/sessionGrace, 1) {
		return false
	}
	r.Word1 = uint64(endMS) // the timer wheel checks it at the old expiry time
	return sh.MarkDirty(slot, r)
}

// Delete ends a session on all nodes and reports whether it existed.
func (s *Session) Delete(key []byte, now clock.Reading) bool {
	hash := zone.KeyHash(key)
	sh := s.store.Shard(hash)
	sh.Lock()
	slot, r := s.findLive(sh, key, now)
	first := false
	if r != nil {
		gone := write{tombstone: true}
		s.stampWrite(sh, hash, &gone, r, now)
		first = s.remove(sh, hash, key, slot, r, &gone, now)
	}
	sh.Unlock()
	if first {
		s.store.Wake(false)
	}
	return r != nil
}

// OnAsk sets the function that asks the peers for sessions.
func (s *Session) OnAsk(ask func(key []byte, now clock.Reading) zone.Waiting) { s.store.OnAsk(ask) }

// Ask asks the peers for a session that is not here; nil if there is nobody to ask.
func (s *Session) Ask(key []byte, now clock.Reading) zone.Waiting { return s.store.Ask(key, now) }

// AppendRecord appends the session of a key for a peer that asks for it; nothing if there is none.
func (s *Session) AppendRecord(dst, key []byte, now clock.Reading) []byte {
	sh := s.store.Shard(zone.KeyHash(key))
	sh.Lock()
	defer sh.Unlock()
	_, r := s.findLive(sh, key, now)
	if r == nil {
		return dst
	}
	e := registerEncoder{zone: &s.registers}
	dst = append(e.Begin(dst, now), byte(sh.Number()))
	return append(e.AppendChange(dst, r, key, sh.Value(r)), zone.GroupEnd)
}

// TakeRecord merges a peer's AppendRecord for a key, and reports whether the session exists here then. A client uses it
// at this moment: it evicts others if it must, and is not left out because it may have been deleted. Records of other
// keys are malformed: no question asked for them.
func (s *Session) TakeRecord(key, payload []byte, now clock.Reading) (found bool, _ zone.Applied, err error) {
	space := room{bytes: s.store.Limit(), evict: true, repaired: true, only: key}
	applied, err := s.merge(payload, space, stamp.Highest(now.WallMS), now)
	sh := s.store.Shard(zone.KeyHash(key))
	sh.Lock()
	defer sh.Unlock()
	_, r := s.findLive(sh, key, now)
	return r != nil, applied, err
}
