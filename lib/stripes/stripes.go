// Package stripes keeps several copies of a set of counters, so that cores that count at the same time write to
// different cache lines. Counting takes no lock and allocates nothing but a copy at its first use; reading sums up the
// copies.
//
// The method is that of java.util.concurrent.atomic.LongAdder (D. Lea): a writer stays with one copy until it meets
// another core there, then picks another copy at random.
package stripes

import (
	"iter"
	"math/rand/v2"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/cpu"
)

// perCore is the number of copies for each core: enough that a random pick is free most of the time.
const perCore = 4

// Stripes are the copies of one set of counters. Copies are made at their first use, because most sets of a large
// configuration are rarely used.
type Stripes[C any] struct {
	copies []atomic.Pointer[padded[C]]
}

// padded is a copy that shares its cache lines with nothing else.
type padded[C any] struct {
	_        cpu.CacheLinePad
	counters C
	_        cpu.CacheLinePad
}

// New returns counters that are zero.
func New[C any]() Stripes[C] {
	n := 1
	for n < perCore*runtime.GOMAXPROCS(0) {
		n *= 2
	}
	return Stripes[C]{copies: make([]atomic.Pointer[padded[C]], n)}
}

// At returns the copy that a writer has picked.
func (s *Stripes[C]) At(p *Pick) *C {
	at := &s.copies[p.number()&uint32(len(s.copies)-1)]
	if c := at.Load(); c != nil {
		return &c.counters
	}
	at.CompareAndSwap(nil, new(padded[C]))
	return &at.Load().counters
}

// All returns the copies that were used.
func (s *Stripes[C]) All() iter.Seq[*C] {
	return func(yield func(*C) bool) {
		for i := range s.copies {
			if c := s.copies[i].Load(); c != nil && !yield(&c.counters) {
				return
			}
		}
	}
}

// Pick is the choice of a writer. It belongs to one goroutine at a time. A writer that is reused on the same core, such
// as an object of a sync.Pool, keeps its Pick.
type Pick struct{ n uint32 } // 0: nothing was picked yet

// picked distinguishes a number from none.
const picked = 1 << 31

func (p *Pick) number() uint32 {
	if p.n == 0 {
		p.n = rand.Uint32() | picked
	}
	return p.n
}

// Increment adds 1 to a counter of a copy.
func (p *Pick) Increment(c *atomic.Uint64) { p.Add(c, 1) }

// Add adds to a counter of a copy. If another core has written to it meanwhile, the writer moves on to another copy.
func (p *Pick) Add(c *atomic.Uint64, more uint64) {
	if n := c.Load(); !c.CompareAndSwap(n, n+more) {
		c.Add(more)
		p.n = 0
	}
}
