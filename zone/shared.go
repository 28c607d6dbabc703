package zone

import "starling/lib/clock"

// Kind describes the contents of a zone and how store and cluster treat it. Each kind has one value, in zone/kinds.
type Kind struct {
	// Number is on the wire: it is never changed and never used again.
	Number uint8
	Name   string // "keyval"
	Holds  string // "key-value pairs", for logs
	// Sums: the records are sums of what all nodes counted. There is no sketch of them, and records that are there at
	// start do not count as taught.
	Sums bool
	// Buries: what a returning peer still has counts as deleted where the tombstone was forgotten meanwhile.
	Buries bool
}

// Shards is the number of shards of every zone. It is part of the protocol: nodes teach and
// compare shard by shard, so all of them place a key in the same shard.
const Shards = 256

// Info describes a zone to the peers, who compare it with theirs in the hello.
type Info struct {
	Name string
	Kind *Kind
	// Expression is the key expression and the value type, as configured. Nodes that differ in it do not share the
	// zone.
	Expression string
	// Bytes, TimeoutMS and RateMilli (requests per 1000 seconds) may differ between nodes: that is only warned of.
	Bytes     int64
	TimeoutMS int64
	RateMilli int64
	// Incarnation changes whenever the zone starts empty, so that peers do not resume into a past it no longer has.
	Incarnation uint64
}

// Origin names one life of one node: a restart without state makes a new one.
type Origin uint64

// Applied counts what became of the records of one frame or of one taught piece.
type Applied struct {
	Records int // looked at
	Won     int // replaced or added
	Lost    int // older than what was here
	Refused int // no room
	Ahead   int // stamped too far ahead of cluster time, so refused too
	Cleared int // shards
	// Deleted are those of Lost that were deleted here within the last 2 s: the deletion is on its way to the sender.
	Deleted int
	// Doubted were left out: they may have been deleted here, and the deletion given up for want of room. Repair is to
	// bring them if they are still there.
	Doubted int
	// Buried are those that count as deleted: they are no longer here, and were when this node and the sender held the
	// same.
	Buried int
}

// Stats are the figures of one zone for the API.
type Stats struct {
	Records     int64 // records_total: what a reader could find, tombstones excluded
	Pending     int64 // changed here and not yet in a frame
	Bytes       int64 // of records and tombstones
	RecordBytes int64
	// Tombstones are deletions still remembered, in TombstoneBytes; GaveUp are those forgotten before their time, for
	// want of room.
	Tombstones, TombstoneBytes, GaveUp int64
	// Full says that the zone refuses writes for want of room: the next local one of even the smallest pair, or one of
	// this node or of a peer that it refused before. Or that records were evicted.
	Full      bool
	Evicted   int64
	Refused   int64 // for want of room
	Ahead     int64 // refused because of their stamps
	Won, Lost int64 // conflicts with remote writes
	// Forfeited are costs, in 1/1000 request, given up because they came late or after an overrun. At most that much is
	// missing.
	Forfeited int64
}

// Shared is the cluster's view of a zone of any kind. All methods may be called from any
// goroutine at once; none blocks longer than one shard's lock is held (well under a millisecond).
type Shared interface {
	Info() Info

	// Flush drains the dirty lists into frames of the journal, encoded once for all peers. It returns the number of
	// records moved.
	Flush(now clock.Reading) int
	// OnDirty sets what is called (without any lock held) when a change comes to an empty dirty list.
	// Urgent means that a limit has just been crossed: waiting would admit too much.
	OnDirty(wake func(urgent bool))
	// Journal is the ring of flushed frames.
	Journal() *Journal
	// Resize changes the journal's ring: frames kept and bytes per frame (zone_sync_buffers). Called before the zone is
	// shared.
	Resize(frames, frameBytes int)
	// SetOrigin names this node's life in taught pieces. Called before the zone is shared.
	SetOrigin(self Origin)

	// Apply merges one frame of a peer's journal. For buckets a frame at or below the last one applied of its origin
	// changes nothing. ageMS is how long the frame waited on its way, by the monotonic clocks. It fails on bytes that
	// no correct peer sends.
	Apply(from Origin, sequence uint64, payload []byte, ageMS int64, now clock.Reading) (Applied, error)

	// TeachShard appends records of one shard to dst until it holds about maxBytes, starting at cursor (0 at first).
	// done says that the shard is finished. A shard of buckets is cut in one piece under its lock, flushed to the
	// journal first, and carries the last sequence applied per origin.
	TeachShard(
		shard int,
		cursor uint64,
		dst []byte,
		maxBytes int,
		now clock.Reading,
	) (payload []byte, next uint64, done bool)
	// Learn merges a taught piece.
	Learn(payload []byte, now clock.Reading) (Applied, error)
	// Hold tells a zone of buckets that shards (a bit set) are about to be taught: costs of remote frames for these
	// wait until each is learnt. Release ends the wait of all shards, applying what was held; it is called when
	// teaching ends early.
	Hold(shards [Shards / 64]uint64)
	Release(now clock.Reading)
	// Forfeit is called when frames of an origin before one are lost for good: the sequence moves on without them. In a
	// zone of buckets the costs of later ones wait, shard by shard, until the origin has taught what it counts.
	Forfeit(origin Origin, to uint64)
	// Disown is called when frames that came as an origin's turn out to be somebody else's, before the origin sends its
	// own.
	Disown(origin Origin)
	// Lacks tells of which shards (a bit set) costs in such frames are still missing: the origin has not taught them
	// since. Empty in other zones.
	Lacks(origin Origin) [Shards / 64]uint64

	// Digests writes one order-independent digest per shard over keys, versions and clear stamps. Zones of buckets
	// leave zeroes and report false.
	Digests(out *[Shards]uint64) (comparable bool)

	// Tick expires what is due. Called about every 100 ms.
	Tick(now clock.Reading)
	Stats() Stats
}

// Comparable is a Shared whose records peers can compare and repair one by one. Zones of buckets are not: their records
// are sums.
type Comparable interface {
	Shared
	// Changes counts how often the content that digests are of has changed.
	Changes() uint64
	// Sketch returns the sketch of shards [first, first+count), folded to at most that many cells. The one of all
	// shards is at hand; for others each record is visited. It is nil in a zone that is not synced.
	Sketch(first, count, cells int) *Sketch
	// AppendRecords appends the records of wanted elements, sorted by Element.Compare, in the encoding of taught pieces
	// until dst holds about maxBytes, and leaves out what ends within 2 s. rest is what it did not come to.
	AppendRecords(
		wanted []Element,
		dst []byte,
		maxBytes int,
		now clock.Reading,
	) (payload []byte, rest []Element, records int)
	// Bury deletes those of the elements, sorted by Element.Compare, that are here in that very version: peers deleted
	// them so long ago that no tombstone tells. It returns how many.
	Bury(elements []Element, now clock.Reading) int
	// TombstoneLifeMS is how long a deletion is remembered, where there is room.
	TombstoneLifeMS() int64
	// GaveUpMS is up to when deletions may be forgotten before their time, for want of room; 0 for none. Cluster time.
	GaveUpMS() int64
	// ForgetThrough forgets the deletions stamped until then: all members know them since sinceMonoMS, and nothing from
	// before that is on its way.
	ForgetThrough(throughMS, sinceMonoMS int64) (forgotten int)
	// Protect says which deletions to give up last: those of what was written after throughMS, and was there when a
	// member that is away was heard of last, at lostMS, or at least when all others had noticed, at goneMS: it may hold
	// that. All are 0 when no member is away.
	Protect(throughMS, lostMS, goneMS int64)
	// Outdated says that a frame flushed then may hold what was deleted since, though the deletion is forgotten.
	Outdated(flushedMonoMS int64) bool
	// Deletions returns a frame of the journal with nothing but its deletions and clears.
	Deletions(payload []byte) []byte
	// Tombstones returns the elements of the deletions that beat the given elements, which are sorted by
	// Element.Compare.
	Tombstones(of []Element) []Element
	// Reissue stamps anew what is stamped too far ahead of now, which peers refuse, and returns how many records and
	// clears that were.
	Reissue(now clock.Reading) int
	// TimeWentBack takes back by backMS the stamps from fromMS on: cluster time was so far ahead since then. It returns
	// how many that were.
	TimeWentBack(fromMS, backMS int64, now clock.Reading) int
	// Mend merges what AppendRecords or TeachShard of a peer wrote. It gives up no record to make room.
	Mend(payload []byte, trust Trust, now clock.Reading) (Applied, error)
}

// Trust is what to make of records that a peer brings, and that are not here.
type Trust struct {
	// GoneMS: what was written until then counts as deleted, and is deleted on the peers too.
	GoneMS int64
	// Doubts: what was written until the youngest deletion that was given up for want of room is left out for now. The
	// peer may not have heard yet that it was deleted.
	Doubts bool
}

// Agreement says through which time a zone and another lineage of it have held the same: what one of them lacks, and
// was written until then, it has deleted.
type Agreement struct {
	Lineage   uint64 // of the other
	ThroughMS int64  // cluster time
}

// Remembering is a Comparable that remembers what it deleted for longer than tombstones live, over restarts where it
// keeps state.
type Remembering interface {
	Comparable
	// Lineage is the zone's name for as long as it never starts empty: an origin is one life, a lineage all that go on
	// from a state.
	Lineage() uint64
	// AgreedUntil makes agreements through a later time count through nowMS: cluster time went back.
	AgreedUntil(nowMS int64)
	// Agreed lists the agreements that were kept, those of former lives included.
	Agreed() []Agreement
	// TellDeletions puts the tombstones stamped after sinceMS into the journal again: who should have got them from a
	// process before may not have.
	TellDeletions(sinceMS int64)
	// KeepAgreed keeps one, without waiting for a disk.
	KeepAgreed(a Agreement)
}
