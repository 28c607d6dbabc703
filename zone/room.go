package zone

import "sync/atomic"

// Whose writes have no room.
const (
	Local   = iota // rejected to the caller
	Foreign        // missing here, and present on the peers
)

// lack remembers that a write had no room, for as long as it would have none now.
type lack struct {
	bytes, limit atomic.Int64 // of the smallest such write, and how far it could fill the zone
}

// now reports whether the write would be rejected again.
func (l *lack) now(liveBytes int64) bool {
	bytes := l.bytes.Load()
	if bytes == 0 {
		return false
	}
	if liveBytes+bytes > l.limit.Load() {
		return true
	}
	l.bytes.CompareAndSwap(bytes, 0)
	return false
}

// Lacked notes that a write of so many bytes was rejected because records filled limit bytes. A larger write is
// rejected by any zone of this size, so it does not make this one full.
func (s *Store) Lacked(whose int, bytes, limit int64) {
	if bytes > limit {
		return
	}
	l := &s.lacks[whose]
	l.limit.Store(limit)
	if before := l.bytes.Load(); before == 0 || bytes < before {
		l.bytes.Store(bytes)
	}
}

// LacksRoom reports whether a write that had no room would have none now.
func (s *Store) LacksRoom() bool {
	live := s.live.Load()
	return s.lacks[Local].now(live) || s.lacks[Foreign].now(live)
}

// MakeRoom evicts tombstones until a record of so many bytes has room, as far as tombstones allow. No lock may be held:
// unlike a write, which only tries the locks of other shards, it waits for them.
func (s *Store) MakeRoom(bytes, limit, monoMS int64) {
	if s.live.Load()+bytes > limit {
		return
	}
	for needed := range MostNeeded + 1 {
		giveUp := giveUp(needed, sweepScan)
		for i := range s.shards {
			sh := &s.shards[i]
			sh.Lock()
			for s.live.Load()+s.graves.Load()+bytes > s.Budget() && giveUp(sh, monoMS) {
			}
			sh.Unlock()
		}
	}
}
