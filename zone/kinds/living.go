package kinds

import (
	"math"
	"sync"
	"sync/atomic"

	"starling/lib/clock"
	"starling/zone"
)

// This file has what zones of connection counts and of findings have in common. Each node tells only its own, and what
// it told ends with it.

// living is the base of these zones.
type living struct {
	base
	sums
	self   atomic.Uint64 // the origin of this node
	seenMS atomic.Int64  // a recent monotonic time, for changes that have none
	// told is held while anything that other nodes told is used. It is taken before the store's locks.
	told    sync.Mutex
	heardMS int64 // monotonic, of the last Heard; guarded by told
}

// life is one life of one other node. Guarded by living.told.
type life struct {
	name      zone.Origin
	completed uint64 // the last frame applied or given up
	heardMS   int64  // monotonic, when it was last known to be there
	isAway    bool   // it is not connected
	// lacks are the shards that it must teach, because something that it told is missing.
	lacks [zone.Shards / 64]uint64
	// taught is the frame through which each shard was last taught, nil if none was.
	taught *[zone.Shards]uint64
}

const (
	// maxLives is more lives than a cluster has at a time: each start of each node is one. The one that is away for
	// longest makes room.
	maxLives = 1024
	// pausedMS between two calls of Heard means that this process was stopped: it does not know who was silent.
	pausedMS = 1000
)

var everyShard = [zone.Shards / 64]uint64{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64}

func hasShard(set *[zone.Shards / 64]uint64, shard int) bool {
	return set[shard/64]&(1<<(shard%64)) != 0
}
func addShard(set *[zone.Shards / 64]uint64, shard int)  { set[shard/64] |= 1 << (shard % 64) }
func dropShard(set *[zone.Shards / 64]uint64, shard int) { set[shard/64] &^= 1 << (shard % 64) }

// SetBytes changes the size. Records in a zone that has become smaller stay.
func (z *living) SetBytes(bytes int64) {
	if bytes != z.store.Limit() {
		z.store.SetBytes(bytes)
	}
}

// SetOrigin names this node's life in taught pieces.
func (z *living) SetOrigin(self zone.Origin) { z.self.Store(uint64(self)) }

// TaughtBy returns the origin that a taught piece claims.
func (z *living) TaughtBy(payload []byte) (teacher zone.Origin, ok bool) { return taughtBy(payload) }

// Framed has nothing to do: what arrives twice is the same.
func (z *living) Framed(uint64, []byte, clock.Reading) {}

// applyFrame reads a frame; group reads one shard.
func (z *living) applyFrame(
	format byte,
	payload []byte,
	group func(r *zone.Reader, applied *zone.Applied),
) (applied zone.Applied, err error) {
	r := zone.Read(payload)
	if r.Byte() != format {
		r.Fail()
	}
	for r.Len() > 0 && !r.Failed() {
		group(&r, &applied)
	}
	z.store.Count(applied)
	if r.Failed() {
		return applied, z.malformed()
	}
	return applied, nil
}

// stoppedMS returns for how long this process was stopped since the last call: that time is not silence of others.
func (z *living) stoppedMS(now clock.Reading) int64 {
	beforeMS := z.heardMS
	z.heardMS = now.MonoMS
	if beforeMS != 0 && now.MonoMS-beforeMS >= pausedMS {
		return now.MonoMS - beforeMS
	}
	return 0
}

// takes reports whether a frame of the life is new, which it no longer is then.
func (l *life) takes(sequence uint64) bool {
	if l.completed = believed(l.completed, sequence); sequence <= l.completed {
		return false
	}
	l.completed = sequence
	return true
}

// hasTaught reports whether a shard that the life was taught in has what a frame told.
func (l *life) hasTaught(shard int, sequence uint64) bool {
	return l.taught != nil && sequence <= l.taught[shard]
}

// noteTaught notes that a shard has all that was told through a frame.
func (l *life) noteTaught(shard int, sequence uint64) {
	if l.taught == nil {
		l.taught = new([zone.Shards]uint64)
	}
	l.taught[shard] = sequence
}

// forfeit gives up the frames up to one.
func (l *life) forfeit(to uint64) {
	to = max(to, 1)
	l.completed = max(believed(l.completed, to), to-1)
	l.lacks = everyShard
}

// isOver notes when the life was last heard, and reports whether what it told ends: see zone.Living.Heard.
func (l *life) isOver(
	origins map[zone.Origin]int64,
	all bool,
	silentMS, stoppedMS int64,
	now clock.Reading,
) bool {
	l.heardMS = min(l.heardMS+stoppedMS, now.MonoMS)
	heardMS, isConnected := origins[l.name]
	if l.isAway = !isConnected; isConnected {
		l.heardMS = max(l.heardMS, heardMS)
	}
	return now.MonoMS-l.heardMS >= silentMS || all && l.isAway
}
