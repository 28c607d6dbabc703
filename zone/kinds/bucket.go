package kinds

import (
	"math"
	"sync"
	"sync/atomic"

	"starling/lib/clock"
	"starling/zone"
)

// BucketKind describes buckets to the cluster and the store.
var BucketKind = &zone.Kind{Number: 3, Name: "bucket", Holds: "request limits", Sums: true}

// Bucket has the leaky buckets of limit_req. Word0 of a record is the level in 1/1000 request, Word1 the monotonic ms
// of that level. The level counts every request, so levels of several nodes add up; nginx's excess is the level less
// the request being decided (zone/DESIGN.md has the argument).
type Bucket struct {
	base
	sums
	rateMilli  atomic.Int64
	burstMilli atomic.Int64

	originsMu sync.Mutex
	origins   map[zone.Origin]*origin
	self      atomic.Uint64

	holding   atomic.Int32          // shards that wait to be taught
	held      [zone.Shards]*holding // each under its shard's lock
	heldBytes atomic.Int64
}

// BucketConfig configures a zone of buckets.
type BucketConfig struct {
	Name       string
	Expression string // the key, compared with the peers'
	Bytes      int64
	// RateMilli is the rate in 1/1000 requests per second, as nginx keeps it: 1r/m is 16.
	RateMilli int64
	Sync      bool
	// Incarnation is kept over a reload; 0 makes a new one.
	Incarnation uint64
}

// request is the cost of one request.
const request = 1000

// maxLevel bounds what peers can add: far above any burst, and far from overflow.
const maxLevel = 1 << 50

// NewBucket makes an empty zone of buckets.
func NewBucket(cfg BucketConfig) *Bucket {
	b := &Bucket{origins: map[zone.Origin]*origin{}}
	b.rateMilli.Store(cfg.RateMilli)
	b.store = zone.NewStore(zone.Info{
		Name: cfg.Name, Kind: BucketKind, Expression: cfg.Expression,
		Bytes: cfg.Bytes, RateMilli: cfg.RateMilli, Incarnation: cfg.Incarnation,
	}, cfg.Sync, b)
	b.shared.Store(cfg.Sync)
	return b
}

var _ zone.Shared = (*Bucket)(nil)

// Verdict is the decision of a limit on a request.
type Verdict uint8

// The verdicts. A request without room for its record is rejected, as in nginx, but it is not over the limit.
const (
	Passed Verdict = iota
	Rejected
	NoRoom
)

// SetBurst sets the largest burst, in 1/1000 requests, of the limits that use this zone. Late costs fill a bucket up to
// it.
func (b *Bucket) SetBurst(milli int64) { b.burstMilli.Store(milli) }

// Account charges a request to a key if its excess stays within the burst, and returns the excess in 1/1000 request. A
// rejected request changes nothing. Empty keys, and those longer than 65535 bytes, pass without a record: callers
// replace a long key by a digest.
func (b *Bucket) Account(key []byte, now clock.Reading, burstMilli int64) (excessMilli int64, verdict Verdict) {
	if len(key) == 0 || len(key) > zone.MaxKeyBytes {
		return 0, Passed
	}
	excessMilli, verdict, wake := b.account(key, now, burstMilli)
	if verdict == NoRoom && b.store.Synced() {
		// All records that could be evicted wait to be sent: flush, then try again.
		b.store.Flush(now)
		excessMilli, verdict, wake = b.account(key, now, burstMilli)
	}
	if wake != wakeNot {
		b.store.Wake(wake == wakeUrgent)
	}
	return excessMilli, verdict
}

// Look returns the result of Account without charging: the first phase of several limits.
func (b *Bucket) Look(key []byte, now clock.Reading, burstMilli int64) (excessMilli int64, verdict Verdict) {
	sh := b.store.Shard(zone.KeyHash(key))
	sh.Lock()
	defer sh.Unlock()
	slot, r := sh.Find(key)
	if r == nil {
		return 0, Passed
	}
	sh.Use(slot, r, now.MonoMS)
	excessMilli, _ = b.excess(r, now)
	if excessMilli > burstMilli {
		return excessMilli, Rejected
	}
	return excessMilli, Passed
}

// Charge charges a request whatever the excess: the second phase, after all limits have passed it.
func (b *Bucket) Charge(key []byte, now clock.Reading) (excessMilli int64, verdict Verdict) {
	return b.Account(key, now, maxLevel)
}

type waking uint8

const (
	wakeNot waking = iota
	wakeSoon
	wakeUrgent
)

func (b *Bucket) account(key []byte, now clock.Reading, burstMilli int64) (int64, Verdict, waking) {
	sh := b.store.Shard(zone.KeyHash(key))
	sh.Lock()
	defer sh.Unlock()
	slot, r := sh.Find(key)
	if r == nil {
		b.dropIdle(sh, 2, now)
		slot, r = b.store.Insert(sh, key, nil, b.store.Limit(), true, now.MonoMS)
		if r == nil {
			return 0, NoRoom, wakeNot
		}
		r.Word1 = uint64(now.MonoMS)
	}
	sh.Use(slot, r, now.MonoMS)
	excess, lastMS := b.excess(r, now)
	if excess > burstMilli {
		return excess, Rejected, wakeNot
	}
	r.Word0, r.Word1 = uint64(excess+request), uint64(lastMS)
	if !b.store.Synced() {
		countAlone(r, excess)
		return excess, Passed, wakeNot
	}
	*r.Unsent()++
	first := sh.MarkDirty(slot, r)
	switch {
	case excess+request > burstMilli:
		// Until the other nodes know that the bucket is full, they pass requests that this node would reject.
		return excess, Passed, wakeUrgent
	case first:
		return excess, Passed, wakeSoon
	}
	return excess, Passed, wakeNot
}

// countAlone counts a request that no peer learns of now. A reload can share the zone: then the peers get what has not
// drained.
func countAlone(r *zone.Record, excessMilli int64) {
	switch unsent := r.Unsent(); {
	case excessMilli == 0:
		*unsent = 1 // what was counted before has drained
	case *unsent < math.MaxUint32:
		*unsent++
	}
}

// excess returns the current level before a request and the time to store with it, with nginx's integer arithmetic:
// excess = max(0, excess - rate*ms/1000 + 1000). A clock that went back by more than a minute counts as 1 ms.
func (b *Bucket) excess(r *zone.Record, now clock.Reading) (excessMilli, lastMS int64) {
	lastMS = int64(r.Word1)
	passedMS := now.MonoMS - lastMS
	switch {
	case passedMS < -60_000:
		passedMS, lastMS = 1, now.MonoMS
	case passedMS <= 0:
		passedMS = 0
	default:
		lastMS = now.MonoMS
	}
	return max(int64(r.Word0)-b.drained(passedMS), 0), lastMS
}

// drained is the amount that leaves a bucket in a time. The time is bounded so that the product cannot overflow.
func (b *Bucket) drained(ms int64) int64 {
	const maxMS = 1 << 31 // 24 days empty any realistic bucket
	return b.rateMilli.Load() * min(max(ms, 0), maxMS) / 1000
}

// add adds costs of another node to a bucket. ageMS is their age.
//
// While a bucket is not empty, the arrival time of a cost does not matter; the level and its time stay, so nothing is
// lost to rounding. A bucket that was empty in between has drained the cost since it was made.
func (b *Bucket) add(level, lastMS, costMilli, ageMS int64, now clock.Reading) (newLevel, newLastMS int64) {
	drained := b.drained(now.MonoMS - lastMS)
	late := ageMS > lateMS
	if level > drained {
		sum := min(level+costMilli, maxLevel)
		if late {
			sum = b.capLate(level, sum, drained)
		}
		return sum, lastMS
	}
	idle := drained - level // the amount drained since it was empty
	sum := max(costMilli-min(idle, b.drained(ageMS)), 0)
	if late {
		sum = b.capLate(0, sum, 0)
	}
	return min(sum, maxLevel), now.MonoMS
}

// lateMS: costs up to one second late are added completely, even past the burst, so that the long-run rate is exact.
const lateMS = 1000

// capLate fills a bucket up to where local requests can and counts the rest as forfeited, so that clients are not
// locked out after a partition.
func (b *Bucket) capLate(level, sum, drained int64) int64 {
	full := max(b.burstMilli.Load()+request+drained, level)
	if sum > full {
		b.store.Forfeit(sum - full)
		return full
	}
	return sum
}

// useless reports whether a bucket is empty: dropping it changes no decision.
func (b *Bucket) useless(r *zone.Record, now clock.Reading) bool {
	return !r.Dirty() && b.drained(now.MonoMS-int64(r.Word1)) >= int64(r.Word0)
}

// idleMS is the time after which nginx drops an empty bucket.
const idleMS = 60_000

// dropIdle removes up to n of the least recently used buckets that are empty.
func (b *Bucket) dropIdle(sh *zone.Shard, n int, now clock.Reading) {
	for range n {
		slot := sh.Oldest()
		if slot == 0 {
			return
		}
		if r := sh.At(slot); r.IdleMS(now.MonoMS) < idleMS || !b.useless(r, now) {
			return
		}
		sh.Remove(slot)
	}
}

// sweepRecords bounds the work per tick and shard.
const sweepRecords = 64

// Sweep removes empty buckets.
func (b *Bucket) Sweep(sh *zone.Shard, now clock.Reading) { b.dropIdle(sh, sweepRecords, now) }
