package zone

// index finds the slot of a key: open addressing with linear probing. An entry has 32 bits of the seeded hash above the
// slot, so a wrong record is almost never visited, and growing needs no keys.
type index struct {
	entries []uint64
	used    int
}

const indexFirst = 8

func (x *index) mask() uint32 { return uint32(len(x.entries) - 1) }

// insert adds a slot that is not in the index.
func (x *index) insert(tag uint32, slot Slot) {
	if (x.used+1)*4 > len(x.entries)*3 {
		x.grow(x.used + 1)
	}
	x.place(uint64(tag)<<32 | uint64(slot))
	x.used++
}

func (x *index) place(entry uint64) {
	mask := x.mask()
	at := uint32(entry>>32) & mask
	for x.entries[at] != 0 {
		at = (at + 1) & mask
	}
	x.entries[at] = entry
}

// grow makes room for n entries at a load of three quarters.
func (x *index) grow(n int) {
	size := max(len(x.entries), indexFirst)
	for n*4 > size*3 {
		size *= 2
	}
	if size == len(x.entries) {
		return
	}
	old := x.entries
	x.entries = make([]uint64, size)
	for _, entry := range old {
		if entry != 0 {
			x.place(entry)
		}
	}
}

// remove removes a slot and moves the entries after it back, so that no gap ends a search too early.
func (x *index) remove(tag uint32, slot Slot) {
	mask := x.mask()
	at := tag & mask
	for wanted := uint64(tag)<<32 | uint64(slot); x.entries[at] != wanted; {
		at = (at + 1) & mask
	}
	x.used--
	for next := (at + 1) & mask; x.entries[next] != 0; next = (next + 1) & mask {
		home := uint32(x.entries[next]>>32) & mask
		if (next-home)&mask >= (next-at)&mask {
			x.entries[at] = x.entries[next]
			at = next
		}
	}
	x.entries[at] = 0
}
