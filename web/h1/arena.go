package h1

// arenaSlabBytes is the size of an arena's slabs; pieces larger than a quarter of it get a slab of their own.
const arenaSlabBytes = minSlabBytes

// Arena is memory that is allocated in pieces and freed all at once. The zero Arena is ready.
type Arena struct {
	slab *Slab // the current one; it stays over Reset
	used int
	full []*Slab
}

// Alloc returns n bytes that are valid until Reset; their contents are undefined.
func (a *Arena) Alloc(n int) []byte {
	if a.slab == nil {
		a.slab = TakeSlab(arenaSlabBytes)
	}
	if n > len(a.slab.Mem)-a.used {
		if n > arenaSlabBytes/4 {
			own := TakeSlab(n)
			a.full = append(a.full, own)
			return own.Mem[:n:n]
		}
		a.full = append(a.full, a.slab)
		a.slab, a.used = TakeSlab(arenaSlabBytes), 0
	}
	b := a.slab.Mem[a.used : a.used+n : a.used+n]
	a.used += n
	return b
}

// Copy copies bytes until Reset.
func (a *Arena) Copy(b []byte) []byte {
	c := a.Alloc(len(b))
	copy(c, b)
	return c
}

// Reset frees all memory; one slab stays for the next use.
func (a *Arena) Reset() {
	for i, b := range a.full {
		b.GiveBack()
		a.full[i] = nil
	}
	a.full, a.used = a.full[:0], 0
}

// Release frees all memory.
func (a *Arena) Release() {
	a.Reset()
	if a.slab != nil {
		a.slab.GiveBack()
		a.slab = nil
	}
}
