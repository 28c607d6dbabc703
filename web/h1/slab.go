package h1

import (
	"math/bits"
	"sync"
)

// Slabs have sizes of powers of two. The smallest holds nearly every head together with a small body; the largest
// pooled one is larger than any body buffer in use, so only unusual configurations allocate beyond it.
const (
	minSlabBytes = 4 << 10
	maxSlabBytes = 1 << 20
	slabClasses  = 9
)

// Slab is pooled memory. Take one with TakeSlab and return it exactly once.
type Slab struct {
	Mem   []byte
	class int8 // -1: too large to pool
}

var slabPools [slabClasses]sync.Pool

// TakeSlab returns a slab of at least size bytes, with undefined contents.
func TakeSlab(size int) *Slab {
	class := 0
	if size > minSlabBytes {
		class = bits.Len(uint(size-1)) - 12
	}
	if size > maxSlabBytes {
		return &Slab{Mem: make([]byte, size), class: -1}
	}
	if b, ok := slabPools[class].Get().(*Slab); ok {
		return b
	}
	return &Slab{Mem: make([]byte, minSlabBytes<<class), class: int8(class)}
}

// GiveBack returns the slab; its memory must not be used any more.
func (b *Slab) GiveBack() {
	if b.class >= 0 {
		slabPools[b.class].Put(b)
	}
}
