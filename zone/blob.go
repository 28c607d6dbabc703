package zone

import (
	"encoding/binary"
	"math/bits"
)

// blob is the memory for keys and values of one shard: one slice without pointers, divided into pieces of a few sizes.
// Freed pieces of a size form a list through their own first bytes.
type blob struct {
	bytes []byte
	free  *[blobSizes]uint32 // offset in units plus one; made at the first release
	idle  int                // bytes on the free lists
}

const (
	blobUnit = 8
	// Up to blobExact pieces, every multiple of the unit is a size; above, four sizes per doubling waste at most a
	// fifth.
	blobExact = 256
	blobSizes = blobExact/blobUnit + 4*22
	// blobFirst is small because a zone of 32k spreads over 256 shards.
	blobFirst = 64
)

// blobSize returns the index of a size and its bytes.
func blobSize(n int) (class, size int) {
	if n <= blobExact {
		class = (max(n, 1) + blobUnit - 1) / blobUnit
		return class - 1, class * blobUnit
	}
	top := bits.Len(uint(n - 1)) // n is in (2^(top-1), 2^top]
	step := 1 << (top - 3)
	quarters := (n - 1 - 1<<(top-1)) / step
	size = 1<<(top-1) + (quarters+1)*step
	return blobExact/blobUnit + (top-1-8)*4 + quarters, size
}

// alloc returns the offset, in units, of a piece of at least n bytes.
func (b *blob) alloc(n int) uint32 {
	class, size := blobSize(n)
	if b.free != nil && b.free[class] != 0 {
		at := b.free[class] - 1
		b.free[class] = binary.LittleEndian.Uint32(b.bytes[int(at)*blobUnit:])
		b.idle -= size
		return at
	}
	at := len(b.bytes)
	if at+size > cap(b.bytes) {
		grown := make([]byte, at, growTo(cap(b.bytes), at+size, blobFirst))
		copy(grown, b.bytes)
		b.bytes = grown
	}
	b.bytes = b.bytes[:at+size]
	return uint32(at / blobUnit)
}

// release frees a piece of n bytes.
func (b *blob) release(at uint32, n int) {
	class, size := blobSize(n)
	if b.free == nil {
		b.free = new([blobSizes]uint32)
	}
	binary.LittleEndian.PutUint32(b.bytes[int(at)*blobUnit:], b.free[class])
	b.free[class] = at + 1
	b.idle += size
}

// sparse reports whether more than half of the memory is unused, so that copying the rest pays.
func (b *blob) sparse() bool { return b.idle > 4096 && b.idle > len(b.bytes)/2 }

// growTo returns need plus a quarter, or the first size: doubling would waste the memory that the slabs save.
func growTo(have, need, first int) int {
	return max(need, have+have/4, first)
}
