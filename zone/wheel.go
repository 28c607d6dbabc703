package zone

// wheel is a timer wheel in levels (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987): records wait in
// lists by the time they end. A record whose end moved later stays in its list and is placed again when the list is
// due, so touching a session costs nothing here.
type wheel struct {
	tick  int64 // all lists before this tick have been visited
	lists [wheelLevels][wheelSlots]Slot
}

const (
	wheelLevels = 5
	wheelSlots  = 16
	// wheelTickMS is the finest step. Readers check the end themselves, so it only determines how soon memory is freed.
	wheelTickMS = 128
)

// wheelPlace links a record into the list for the time it ends.
func (sh *Shard) wheelPlace(slot Slot, r *Record, dueMS int64) {
	w := sh.wheel
	due := max(dueMS/wheelTickMS+1, w.tick+1)
	level, at := wheelList(w.tick, due)
	head := &w.lists[level][at]
	r.wheelNext = *head
	r.wheelPrev = wheelHead | Slot(level*wheelSlots+at)
	if *head != 0 {
		sh.at(*head).wheelPrev = slot
	}
	*head = slot
}

// wheelHead marks a previous link that names a list instead of a record.
const wheelHead Slot = 1 << 31

// wheelList picks the lowest level whose turn is not longer than the remaining time.
func wheelList(tick, due int64) (level, at int) {
	for level = 0; level < wheelLevels-1; level++ {
		if due>>(4*level)-tick>>(4*level) < wheelSlots {
			return level, int(due >> (4 * level) % wheelSlots)
		}
	}
	// Records that end later than the last level reaches wait in its last list and are placed again then.
	last := min(due>>(4*level), tick>>(4*level)+wheelSlots-1)
	return level, int(last % wheelSlots)
}

// wheelRemove unlinks a record that is in the wheel.
func (sh *Shard) wheelRemove(r *Record) {
	if r.wheelPrev&wheelHead != 0 {
		list := int(r.wheelPrev &^ wheelHead)
		sh.wheel.lists[list/wheelSlots][list%wheelSlots] = r.wheelNext
	} else {
		sh.at(r.wheelPrev).wheelNext = r.wheelNext
	}
	if r.wheelNext != 0 {
		sh.at(r.wheelNext).wheelPrev = r.wheelPrev
	}
	r.wheelNext, r.wheelPrev = 0, 0
}

// wheelAdvance moves the wheel to nowMS and calls ended for each record of the lists that are due. After a long pause,
// each list is visited once.
func (sh *Shard) wheelAdvance(nowMS int64, ended func(Slot, *Record)) {
	w := sh.wheel
	from, to := w.tick, nowMS/wheelTickMS
	if to <= from {
		return
	}
	var due Slot // a chain of all records of the due lists, through wheelNext
	for level := range wheelLevels {
		passed := min(to>>(4*level)-from>>(4*level), wheelSlots)
		for i := range passed {
			head := &w.lists[level][(from>>(4*level)+1+i)%wheelSlots]
			for slot := *head; slot != 0; {
				r := sh.at(slot)
				next := r.wheelNext
				r.wheelNext, r.wheelPrev = due, 0
				due, slot = slot, next
			}
			*head = 0
		}
	}
	w.tick = to
	for due != 0 {
		r := sh.at(due)
		slot := due
		due = r.wheelNext
		r.wheelNext = 0
		ended(slot, r)
	}
}
