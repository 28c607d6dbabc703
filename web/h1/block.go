package h1

import (
	"math/bits"
	"sync"
)

// Blocks come in powers of two. The smallest holds nearly every head together with a small body; the largest
// pooled one is larger than any body buffer we use, so only odd configurations allocate beyond it.
const (
	minBlockBytes = 4 << 10
	maxBlockBytes = 1 << 20
	blockClasses  = 9
)

// Block is pooled memory. Take one with TakeBlock and hand it back exactly once.
type Block struct {
	Mem   []byte
	class int8 // -1: too large to pool
}

var blockPools [blockClasses]sync.Pool

// TakeBlock gives a block of at least size bytes, with undefined contents.
func TakeBlock(size int) *Block {
	class := 0
	if size > minBlockBytes {
		class = bits.Len(uint(size-1)) - 12
	}
	if size > maxBlockBytes {
		return &Block{Mem: make([]byte, size), class: -1}
	}
	if b, ok := blockPools[class].Get().(*Block); ok {
		return b
	}
	return &Block{Mem: make([]byte, minBlockBytes<<class), class: int8(class)}
}

// GiveBack returns the block; nobody may use its memory any more.
func (b *Block) GiveBack() {
	if b.class >= 0 {
		blockPools[b.class].Put(b)
	}
}
