package h1

// arenaBlockBytes is the size of an arena's blocks; what is larger than a quarter of it gets a block of its own.
const arenaBlockBytes = minBlockBytes

// Arena is memory that is given out in pieces and given back all at once. The zero Arena is ready.
type Arena struct {
	block *Block // the current one; it stays over Reset
	used  int
	full  []*Block
}

// Alloc gives n bytes that are valid until Reset; their contents are undefined.
func (a *Arena) Alloc(n int) []byte {
	if a.block == nil {
		a.block = TakeBlock(arenaBlockBytes)
	}
	if n > len(a.block.Mem)-a.used {
		if n > arenaBlockBytes/4 {
			own := TakeBlock(n)
			a.full = append(a.full, own)
			return own.Mem[:n:n]
		}
		a.full = append(a.full, a.block)
		a.block, a.used = TakeBlock(arenaBlockBytes), 0
	}
	b := a.block.Mem[a.used : a.used+n : a.used+n]
	a.used += n
	return b
}

// Copy copies bytes until Reset.
func (a *Arena) Copy(b []byte) []byte {
	c := a.Alloc(len(b))
	copy(c, b)
	return c
}

// Reset makes all memory free again; one block stays for the next use.
func (a *Arena) Reset() {
	for i, b := range a.full {
		b.GiveBack()
		a.full[i] = nil
	}
	a.full, a.used = a.full[:0], 0
}

// Release gives all memory back.
func (a *Arena) Release() {
	a.Reset()
	if a.block != nil {
		a.block.GiveBack()
		a.block = nil
	}
}
