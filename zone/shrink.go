package zone

// This file gives memory back that a shard needed once: records and their keys and values move together when most of it
// is empty.

const (
	// shrinkFrom is from how many slots on shrinking is worth it: fewer are a few pages in the whole zone.
	shrinkFrom = 64
	// shrinkShare of the slots at most are in use when they are moved together, and four fifths afterwards: so a record
	// that comes or goes has paid for the moves, however the number swings.
	shrinkShare = 4
)

// Pin keeps records in their slots, for who visits a shard slot by slot and releases its lock meanwhile. Unpin follows
// in any case.
func (sh *Shard) Pin() { sh.pins++ }

// Unpin ends a Pin.
func (sh *Shard) Unpin() { sh.pins-- }

// Moves counts how often the shard's records moved to other slots. A slot remembered from another count is invalid.
func (sh *Shard) Moves() uint32 { return sh.moves }

// shrinkIfSparse is called now and then.
func (sh *Shard) shrinkIfSparse() {
	sh.compactIfSparse()
	if len(sh.slab) >= shrinkFrom && sh.live*shrinkShare <= len(sh.slab) && sh.pins == 0 {
		sh.shrink()
	}
}

// shrink moves the records together, in their order.
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
			continue // without the wheel the link may be Unsent
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
	sh.moves++
}
