package zone

import "starling/lib/clock"

// Kind describes the contents of a zone and what store and cluster do differently for it. Each kind has one value, in
// zone/kinds.
type Kind struct {
	// Number is on the wire: it is never changed and never reused.
	Number uint8
	Name   string // "keyval"
	Holds  string // "key-value pairs", for logs
	// Sums: the records are sums of what all nodes counted. They have no sketch, and records that exist at the start do
	// not count as taught.
	Sums bool
	// Buries: records that a returning peer still has count as deleted if their tombstones were dropped meanwhile.
	Buries bool
	// Remedy is what an operator does where only one of two nodes has a zone of this kind. Empty: it has to be
	// configured on both.
	Remedy string
}

// Shards is the number of shards of every zone. It is part of the protocol: nodes teach and
// compare shard by shard, so all of them place a key in the same shard.
const Shards = 256

// Info describes a zone to the peers, which compare it with theirs in the hello.
type Info struct {
	Name string
	Kind *Kind
	// Expression is the key expression and the value type, as configured. Nodes that differ in it do not share the
	// zone.
	Expression string
	// Bytes, TimeoutMS and RateMilli (requests per 1000 seconds) can differ between nodes, with a warning.
	Bytes     int64
	TimeoutMS int64
	RateMilli int64
	// Incarnation changes whenever the zone starts empty, so that peers do not resume at a cursor of an earlier life.
	Incarnation uint64
}

// Origin identifies one life of one node: a restart without state makes a new one.
type Origin uint64

// Applied counts the outcomes of the records of one frame or taught piece.
type Applied struct {
	Records int // looked at
	Won     int // replaced or added
	Lost    int // older than the local record
	Refused int // no room
	Ahead   int // stamped too far ahead of cluster time, so rejected too
	Cleared int // shards
	// Invalid were rejected because the kind does not accept their contents; Fault names the first.
	Invalid int
	Fault   error
	// Deleted are those of Lost that were deleted here within the last 2 s: the deletion is in flight to the sender.
	Deleted int
	// Doubted were left out: they may have been deleted here by a tombstone that was evicted for lack of room. Repair
	// must send them if they still exist.
	Doubted int
	// Buried are those that count as deleted: they are no longer here, and were when this node and the sender held the
	// same.
	Buried int
}

// Stats are the figures of one zone for the API.
type Stats struct {
	Records     int64 // records_total: what readers can find, without tombstones
	Pending     int64 // changed here and not yet in a frame
	Bytes       int64 // of records and tombstones
	RecordBytes int64
	// Tombstones are the deletions still stored, in TombstoneBytes; GaveUp are those evicted for lack of room.
	Tombstones, TombstoneBytes, GaveUp int64
	// Full means that the zone rejects writes for lack of room: the next local one of even the smallest pair, or one of
	// this node or of a peer that it rejected before. Or that records were evicted.
	Full      bool
	Evicted   int64
	Refused   int64 // for lack of room
	Ahead     int64 // rejected because of their stamps
	Won, Lost int64 // conflicts with remote writes
	// Forfeited are costs, in 1/1000 request, dropped because they came late or after an overrun. At most that much is
	// missing.
	Forfeited int64
}

// Shared is the cluster's view of a zone of any kind. All methods are safe for concurrent use; none blocks longer than
// one shard's lock is held (well under a millisecond).
type Shared interface {
	Info() Info

	// Flush drains the dirty lists into frames of the journal, encoded once for all peers. It returns the number of
	// records moved.
	Flush(now clock.Reading) int
	// OnDirty sets the callback (called without a lock) for a change that arrives on an empty dirty list. Urgent means
	// that a limit has just been crossed: waiting would pass too many requests.
	OnDirty(wake func(urgent bool))
	// OnDeliver sets the function that makes the deliveries which Deliver returns.
	OnDeliver(make func(Need) Delivery)
	// Journal is the ring of flushed frames.
	Journal() *Journal
	// Resize changes the journal's ring: frames kept and bytes per frame (zone_sync_buffers). Called before the zone is
	// shared.
	Resize(frames, frameBytes int)
	// SetOrigin sets this node's origin for taught pieces. Called before the zone is shared.
	SetOrigin(self Origin)

	// Apply merges one frame of a peer's journal. For buckets, a frame at or below the last one applied of its origin
	// changes nothing. ageMS is the frame's time in transit, by the monotonic clocks. It fails on bytes that no correct
	// peer sends.
	Apply(from Origin, sequence uint64, payload []byte, ageMS int64, now clock.Reading) (Applied, error)

	// TeachShard appends records of one shard to dst until it holds about maxBytes, starting at cursor (0 at first).
	// done means that the shard is finished. A shard of buckets is cut in one piece under its lock, flushed to the
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
	// Hold tells a zone of buckets that shards (a bit set) will be taught: costs of remote frames for these wait until
	// each is learnt. Release ends the wait of all shards and applies the held costs; it is called when teaching ends
	// early.
	Hold(shards [Shards / 64]uint64)
	Release(now clock.Reading)
	// Forfeit is called when frames of an origin before a sequence are lost for good: the sequence advances without
	// them. In a zone of buckets, the costs of later frames wait, shard by shard, until the origin has taught what it
	// counts.
	Forfeit(origin Origin, to uint64)
	// Disown is called when frames in an origin's name turn out to be another node's, before the origin sends its own.
	Disown(origin Origin)
	// Lacks returns the shards (a bit set) that still lack costs of such frames: the origin has not taught them since.
	// Empty in other zones.
	Lacks(origin Origin) [Shards / 64]uint64

	// Digests writes one order-independent digest per shard over keys, versions and clear stamps. Zones of buckets
	// leave zeroes and return false.
	Digests(out *[Shards]uint64) (comparable bool)

	// Tick expires records. Called about every 100 ms.
	Tick(now clock.Reading)
	Stats() Stats
}

// Living is a Shared whose records tell what is going on at other nodes: what a node has told ends with the node, or
// when it has not been heard for a while.
type Living interface {
	Shared
	// Began is called when the node of an origin is connected, before its journal continues after a sequence.
	Began(from Origin, after uint64, now clock.Reading)
	// Heard is called about every 100 ms with all connected origins, and when each was last heard (monotonic). What
	// an origin has told ends when it was not heard for silentMS; or if it is not connected, and all nodes are.
	Heard(origins map[Origin]int64, all bool, silentMS int64, now clock.Reading)
	// Wants returns the shards (a bit set) that a connected origin is to teach now; Lacks has those without room too.
	Wants(from Origin) [Shards / 64]uint64
}

// Comparable is a Shared whose records peers can compare and repair one by one. Zones of buckets are not: their records
// are sums.
type Comparable interface {
	Shared
	// Changes counts the changes of the content covered by digests.
	Changes() uint64
	// Sketch returns the sketch of shards [first, first+count), folded to at most that many cells. That of all shards
	// is available at once; for others each record is visited. It is nil in a zone that is not synced.
	Sketch(first, count, cells int) *Sketch
	// AppendRecords appends the records of wanted elements, sorted by Element.Compare, in the encoding of taught pieces
	// until dst holds about maxBytes. It skips records that expire within 2 s. rest are the elements not yet visited.
	AppendRecords(
		wanted []Element,
		dst []byte,
		maxBytes int,
		now clock.Reading,
	) (payload []byte, rest []Element, records int)
	// Bury deletes those of the elements, sorted by Element.Compare, that are here in exactly that version and were
	// written by throughMS: peers deleted them, and the tombstones are gone. It returns their number, and those that
	// are here and stay: they were written later than their stamps tell.
	Bury(elements []Element, throughMS int64, now clock.Reading) (buried int, kept []Element)
	// TombstoneLifeMS is the tombstone lifetime, if there is room.
	TombstoneLifeMS() int64
	// GaveUpMS is the time up to which deletions may have been evicted for lack of room; 0 for none. Cluster time.
	GaveUpMS() int64
	// MayLackDeletions notes that deletions stamped until throughMS may have been evicted elsewhere before this zone
	// was taught: a record that is missing here, and that a returning peer sends, is in doubt.
	MayLackDeletions(throughMS int64)
	// ForgetThrough drops the deletions stamped until then: all members have known them since sinceMonoMS, and nothing
	// from before that is in flight.
	ForgetThrough(throughMS, sinceMonoMS int64) (forgotten int)
	// Protect sets which deletions to evict last: those that one of these members may lack. At most MaxLags.
	Protect(lags []Lag)
	// MaxUnacked is how many records may be in flight to a member: it must not hold more that is deleted here than
	// tombstones can remember. Without a bound while there is room for many more tombstones.
	MaxUnacked() int64
	// Outdated reports whether a frame flushed then may contain records that were deleted since and whose deletion is
	// forgotten.
	Outdated(flushedMonoMS int64) bool
	// Deletions returns a frame of the journal with nothing but its deletions and clears.
	Deletions(payload []byte) []byte
	// Tombstones returns the elements of the deletions that beat the given elements, which are sorted by
	// Element.Compare.
	Tombstones(of []Element) []Element
	// Reissue restamps records stamped too far ahead of now, which peers reject, and returns the number of records and
	// clears.
	Reissue(now clock.Reading) int
	// TimeWentBack lowers the stamps from fromMS on by backMS: cluster time was that far ahead. It returns their
	// number.
	TimeWentBack(fromMS, backMS int64, now clock.Reading) int
	// Mend merges the output of a peer's AppendRecords or TeachShard. It evicts no record to make room.
	Mend(payload []byte, trust Trust, now clock.Reading) (Applied, error)
}

// Trust is how to treat records that a peer sends and that are missing here.
type Trust struct {
	// GoneMS: records written until then count as deleted, and are deleted on the peers too.
	GoneMS int64
	// Doubts: records written until the youngest deletion that was evicted for lack of room are left out for now. The
	// peer may not know yet that they were deleted.
	Doubts bool
}

// MaxLags bounds the lags of a zone: each tombstone that may be evicted is compared with all.
const MaxLags = 8

// Lag is what a member may hold although it was deleted here, in cluster time. The member needs a tombstone if it may
// not have got the deletion, which is later than KnownMS (or than SureMS, if the member crashes), if it may hold the
// deleted record, and if only the tombstone can tell: the record was written after ThroughMS, when the two zones held
// the same. The member had all records that appeared by HadMS; those that appeared by HeldMS were on their way to it,
// and those that appeared by MaybeMS may have been.
type Lag struct{ ThroughMS, SureMS, KnownMS, HadMS, HeldMS, MaybeMS int64 }

// Agreement is the time through which a zone and another lineage of it have held the same: a record that one of them
// lacks, and that was written before, was deleted there.
type Agreement struct {
	Lineage   uint64 // of the other
	ThroughMS int64  // cluster time
	// NotedMS is the cluster time at which they held the same; 0 if a release before noted it. It is later than
	// ThroughMS by as much as the slowest member's clock is behind.
	NotedMS int64
}

// Remembering is a Comparable that remembers deletions for longer than tombstones live, over restarts if it has state.
type Remembering interface {
	Comparable
	// Lineage identifies the zone for as long as it never starts empty: an origin is one life, a lineage all lives that
	// continue from a state.
	Lineage() uint64
	// AgreedUntil limits agreements to nowMS: cluster time went back, or a member's clock fell.
	AgreedUntil(nowMS int64)
	// Agreed lists the stored agreements, including those of earlier lives.
	Agreed() []Agreement
	// TellDeletions puts the tombstones stamped after sinceMS into the journal again: peers may not have received them
	// from a previous process.
	TellDeletions(sinceMS int64)
	// KeepAgreed keeps one, without waiting for a disk.
	KeepAgreed(a Agreement)
}
