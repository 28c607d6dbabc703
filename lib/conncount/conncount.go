// Package conncount counts, per key, the requests or connections that are in progress.
//
// It is the memory of limit_conn on both the http and the stream side. A record exists only while its count is above
// zero, so nothing expires and nothing is evicted: a full zone rejects new keys.
package conncount

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// MaxKeyBytes is the longest key; nginx stores the length in one byte.
const MaxKeyBytes = 255

const (
	// shardCount reduces contention between cores; a power of two.
	shardCount = 16
	// recordBytes is nginx's cost of a record besides its key, and pageBytes its fixed overhead: a zone of the same
	// size holds as many keys as in nginx.
	recordBytes = 36
	pageBytes   = 4096
	// inlineBytes is the key length stored without an allocation of its own: addresses and small words.
	inlineBytes = 32
	// minBuckets is the smallest size of a shard's index; a power of two.
	minBuckets = 16
	// none ends a chain.
	none = -1
)

// Verdict is the result of Enter.
type Verdict int

// The verdicts. Only Entered must be followed by Leave.
const (
	Entered  Verdict = iota
	Rejected         // the key has reached its limit
	Full             // no room for another key
)

// Ticket identifies the entered record for Leave: the shard in the upper half, the record in the lower.
type Ticket uint64

func newTicket(shard, record int32) Ticket { return Ticket(uint64(shard)<<32 | uint64(record)) }

// Zone counts requests or connections in progress per key, within a budget of bytes. It is safe for concurrent use.
type Zone struct {
	Counts Counts

	seed   maphash.Seed
	budget atomic.Int64
	used   atomic.Int64
	full   atomic.Uint64 // keys refused for lack of room
	shards [shardCount]shard
}

type shard struct {
	mu      sync.Mutex
	buckets []int32 // first record of each chain
	records []record
	free    int32 // first of the chain of unused records
	live    int
	heir    Heir     // see Follow; nil before
	_       [64]byte // different cores lock shards at the same time
}

type record struct {
	hash   uint64
	count  uint32
	passed uint32 // how many of count the heir counts too
	length uint8
	next   int32
	inline [inlineBytes]byte
	long   []byte // keeps its capacity when the record is reused
}

// New returns a zone of a configured size in bytes.
func New(size int64) *Zone {
	z := &Zone{seed: maphash.MakeSeed()}
	z.Resize(size)
	for i := range z.shards {
		z.shards[i].free = none
	}
	return z
}

// Resize changes the size. Keys in a zone that has become smaller stay until their counts are zero.
func (z *Zone) Resize(size int64) { z.budget.Store(max(size-pageBytes, pageBytes)) }

// Enter adds one to the count of a key unless the count has reached limit. The key is copied. It must not be longer
// than MaxKeyBytes.
func (z *Zone) Enter(key []byte, limit uint32) (Ticket, Verdict) {
	hash := maphash.Bytes(z.seed, key)
	number := int32(hash & (shardCount - 1))
	s := &z.shards[number]
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(hash, key); i != none {
		r := &s.records[i]
		if r.count >= limit {
			return 0, Rejected
		}
		s.count(r, key, 1)
		return newTicket(number, i), Entered
	}
	i := z.add(s, hash, key)
	if i == none {
		return 0, Full
	}
	s.count(&s.records[i], key, 1)
	return newTicket(number, i), Entered
}

// add adds a record without a count, if there is room.
func (z *Zone) add(s *shard, hash uint64, key []byte) int32 {
	if cost := recordCost(len(key)); z.used.Add(cost) > z.budget.Load() {
		z.used.Add(-cost)
		z.full.Add(1)
		return none
	}
	return s.add(hash, key)
}

// Leave undoes one Enter. Each ticket is valid for one Leave.
func (z *Zone) Leave(t Ticket) {
	s, i := &z.shards[t>>32], int32(t&(1<<32-1))
	s.mu.Lock()
	defer s.mu.Unlock()
	z.release(s, i)
}

// Keys is the number of keys with a count.
func (z *Zone) Keys() int {
	total := 0
	for i := range z.shards {
		s := &z.shards[i]
		s.mu.Lock()
		total += s.live
		s.mu.Unlock()
	}
	return total
}

// recordCost is the cost in nginx's slab: the next power of two.
func recordCost(keyBytes int) int64 {
	return int64(1) << bits.Len(uint(recordBytes+keyBytes-1))
}

func (r *record) key() []byte {
	if int(r.length) <= inlineBytes {
		return r.inline[:r.length]
	}
	return r.long
}

func (s *shard) bucket(hash uint64) *int32 {
	// The low bits selected the shard.
	return &s.buckets[(hash>>32)&uint64(len(s.buckets)-1)]
}

func (s *shard) find(hash uint64, key []byte) int32 {
	if len(s.buckets) == 0 {
		return none
	}
	for i := *s.bucket(hash); i != none; i = s.records[i].next {
		if r := &s.records[i]; r.hash == hash && bytes.Equal(r.key(), key) {
			return i
		}
	}
	return none
}

func (s *shard) add(hash uint64, key []byte) int32 {
	if s.live >= len(s.buckets) {
		s.grow()
	}
	i := s.free
	if i == none {
		i = int32(len(s.records))
		s.records = append(s.records, record{})
	} else {
		s.free = s.records[i].next
	}
	r, head := &s.records[i], s.bucket(hash)
	r.hash, r.count, r.passed, r.length, r.next = hash, 0, 0, uint8(len(key)), *head
	if len(key) <= inlineBytes {
		copy(r.inline[:], key)
	} else {
		r.long = append(r.long[:0], key...)
	}
	*head = i
	s.live++
	return i
}

func (s *shard) remove(i int32) {
	r := &s.records[i]
	at := s.bucket(r.hash)
	for *at != i {
		at = &s.records[*at].next
	}
	*at = r.next
	r.next = s.free
	s.free = i
	s.live--
}

func (s *shard) grow() {
	old := s.buckets
	s.buckets = make([]int32, max(2*len(old), minBuckets))
	for i := range s.buckets {
		s.buckets[i] = none
	}
	for _, i := range old {
		for i != none {
			r := &s.records[i]
			next, head := r.next, s.bucket(r.hash)
			r.next, *head = *head, i
			i = next
		}
	}
}
