package web

import "starling/web/h1"

// arenaSlabBytes is the size of an arena's slabs; larger pieces get a slab of their own.
const arenaSlabBytes = 4 << 10

// arena is memory that lives as long as a request.
type arena struct {
	slab *h1.Slab // the current one; kept by the Request for its next use
	used int
	full []*h1.Slab
}

func (a *arena) alloc(n int) []byte {
	if a.slab == nil {
		a.slab = h1.TakeSlab(arenaSlabBytes)
	}
	if n > len(a.slab.Mem)-a.used {
		if n > arenaSlabBytes/4 {
			own := h1.TakeSlab(n)
			a.full = append(a.full, own)
			return own.Mem[:n:n]
		}
		a.full = append(a.full, a.slab)
		a.slab, a.used = h1.TakeSlab(arenaSlabBytes), 0
	}
	b := a.slab.Mem[a.used : a.used+n : a.used+n]
	a.used += n
	return b
}

// reset frees all memory; one slab stays.
func (a *arena) reset() {
	for i, b := range a.full {
		b.GiveBack()
		a.full[i] = nil
	}
	a.full, a.used = a.full[:0], 0
}

// Alloc returns n bytes that are valid during the request; their contents are undefined.
func (r *Request) Alloc(n int) []byte { return r.arena.alloc(n) }

// Copy copies bytes for the duration of the request.
func (r *Request) Copy(b []byte) []byte {
	c := r.arena.alloc(len(b))
	copy(c, b)
	return c
}

// CopyString is Copy of a string.
func (r *Request) CopyString(s string) []byte {
	c := r.arena.alloc(len(s))
	copy(c, s)
	return c
}
