package zone

import (
	"encoding/binary"
	"math/bits"
)

// The odd constants of the fixed hash are digits of pi and e; any odd numbers with mixed bits would do.
const (
	hashStart = 0x243f6a8885a308d3
	hashWord  = 0x9e3779b97f4a7c15
	hashEnd   = 0xb7e151628aed2a6b
)

// KeyHash is the hash that all nodes share: it selects the shard of a key and enters the digests. It has no seed, so an
// attacker can find keys of one shard; inside a shard, a seeded hash finds the record.
func KeyHash(key []byte) uint64 {
	h := uint64(hashStart) ^ uint64(len(key))*hashWord
	for len(key) >= 8 {
		h = mix(h^binary.LittleEndian.Uint64(key), hashWord)
		key = key[8:]
	}
	var tail uint64
	for i, b := range key {
		tail |= uint64(b) << (8 * i)
	}
	return mix(mix(h^tail, hashWord)^hashEnd, hashWord)
}

func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}

// ShardOf is the number of the shard that holds a key, the same on all nodes.
func ShardOf(keyHash uint64) int { return int(keyHash >> 56) }

// Digest is the element's contribution to the digest of its shard, which is an order-independent sum.
func (e Element) Digest() uint64 {
	return mix(mix(e.Key^hashStart, hashWord)^e.Version, hashEnd)
}
