package zone

// This file frees memory that a shard no longer needs: it compacts records, keys and values when most slots are free.

const (
	// shrinkFrom is the number of slots from which shrinking pays: fewer are a few pages in the whole zone.
	shrinkFrom = 64
	// shrinkShare is the share of slots in use at which a shard is compacted, to four fifths: so each added or removed
	// record has paid for the moves, however the number fluctuates.
	shrinkShare = 4
)

// Pin keeps records in their slots, for code that visits a shard slot by slot and releases its lock in between. Unpin
// must always follow.
func (sh *Shard) Pin() { sh.pins++ }

// Unpin ends a Pin.
func (sh *Shard) Unpin() { sh.pins-- }

// Moves counts how often the shard's records moved to other slots. A slot from another count is invalid.
func (sh *Shard) Moves() uint32 { return sh.moves }

// shrinkIfSparse is called now and then.
func (sh *Shard) shrinkIfSparse() {
	sh.compactIfSparse()
	if len(sh.slab) >= shrinkFrom && sh.live*shrinkShare <= len(sh.slab) && sh.pins == 0 {
		sh.shrink()
	}
}

// shrink compacts the records in their order.
func (sh *Shard) shrink() {
	moved := make([]Slot, len(sh.slab)+1) // by the slot before
	slab := make([]Record, 0, growTo(sh.live, sh.live, slabFirst))
	for i := range sh.slab {
		if sh.slab[i].state&stateLive != 0 {
			slab = append(slab, sh.slab[i])
			moved[i+1] = Slot(len(slab))
		}
	}
	for i := range slab {
		r := &slab[i]
		r.older, r.newer = moved[r.older], moved[r.newer]
		if r.state&stateWheel == 0 {
			continue // without the wheel, the link can be Unsent
		}
		if r.wheelNext = moved[r.wheelNext]; r.wheelPrev&wheelHead == 0 {
			r.wheelPrev = moved[r.wheelPrev]
		}
	}
	if sh.wheel != nil {
		for level := range sh.wheel.lists {
			for i, head := range sh.wheel.lists[level] {
				sh.wheel.lists[level][i] = moved[head]
			}
		}
	}
	for i, slot := range sh.dirty {
		sh.dirty[i] = moved[slot]
	}
	var entries index
	entries.grow(sh.index.used)
	for _, entry := range sh.index.entries {
		if entry != 0 {
			entries.place(entry>>32<<32 | uint64(moved[Slot(entry)]))
		}
	}
	entries.used = sh.index.used
	sh.slab, sh.index, sh.freed = slab, entries, 0
	for i, o := range sh.order {
		sh.order[i] = order{moved[o.oldest], moved[o.newest]}
	}
	sh.passed = moved[sh.passed]
	sh.moves++
}
