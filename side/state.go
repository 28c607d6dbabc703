package side

import (
	"strings"

	"starling/nginx/regex"
	"starling/plan"
	"starling/vars"
)

// State is embedded in each request and session: the values of variables and families. It belongs to the goroutine that
// serves its subject.
type State struct {
	// Captures are those of the last regular expression that matched ($1 to $9).
	Captures regex.Captures
	// Nesting is the depth of variables being evaluated by each other.
	Nesting int
	// GaveUp is set when a regular expression took too long: it is unknown whether it matches.
	GaveUp bool

	slots []Slot
	trial regex.Captures // swapped with Captures when a match succeeds
}

// Slot is the value of a slot variable, or a family's state for a subject.
type Slot struct {
	Value []byte
	Set   bool
	// Data and Number are the family's own; a pointer in Data does not allocate.
	Data   any
	Number int64
}

// SideState makes an embedded State reachable by the shared code.
func (s *State) SideState() *State { return s }

// Slot returns a slot made by NewSlot or SlotVariable. The pointer is valid while the subject lives.
func (s *State) Slot(i int) *Slot { return &s.slots[i] }

// SetSlot sets the value of a slot; nil clears it.
func (s *State) SetSlot(i int, value []byte) { s.slots[i] = Slot{Value: value, Set: value != nil} }

// Reserve makes room for so many empty slots. It reuses existing memory.
func (s *State) Reserve(slots int) {
	if len(s.slots) != slots {
		s.slots = make([]Slot, slots)
	}
}

// Empty returns a State without contents that reuses the memory of this one, for the next subject.
func (s *State) Empty() State {
	clear(s.slots)
	s.Captures.Reset()
	s.trial.Reset()
	return State{Captures: s.Captures, trial: s.trial, slots: s.slots}
}

// Inherit copies the values of another subject, except those that only their families can read.
func (s *State) Inherit(from *State) {
	for i := range from.slots {
		if from.slots[i].Data == nil {
			s.slots[i] = from.slots[i]
		}
	}
}

// NewSlot reserves a slot in each subject, for values of `set` and for the state of families. Call it while the
// configuration is bound or built.
func (s *Side[C]) NewSlot(p *plan.Plan) int {
	w := partOf[C](p)
	w.slots++
	return w.slots - 1
}

// ownSlot is the slot of a family for its T.
type ownSlot[T, C any] struct{ slot int }

// SlotOf returns the slot in whose Data each subject keeps a *T of a family, and reserves it at the first call for a
// configuration. Call it while the configuration is bound or built.
func SlotOf[T any, C Subject](s *Side[C], p *plan.Plan) int {
	if own := plan.Find[ownSlot[T, C]](p); own != nil {
		return own.slot
	}
	own := plan.Part[ownSlot[T, C]](p)
	own.slot = s.NewSlot(p)
	return own.slot
}

// DataOf returns the T that a subject keeps in the slot of SlotOf, nil if it has none.
func DataOf[T any, C Subject](c C) *T {
	own := plan.Find[ownSlot[T, C]](c.Plan())
	if own == nil {
		return nil
	}
	data, _ := c.SideState().Slot(own.slot).Data.(*T)
	return data
}

// Slots is the number of reserved slots.
func (s *Side[C]) Slots(p *plan.Plan) int { return partOf[C](p).slots }

// SlotVariable declares a variable into which `set`, map-like directives or named captures store, and returns its slot.
// A name can be declared several times; it is one variable.
func (s *Side[C]) SlotVariable(p *plan.Plan, name string) (int, error) {
	w := partOf[C](p)
	name = strings.ToLower(name)
	if slot, known := w.slotNames[name]; known {
		return slot, nil
	}
	slot := s.NewSlot(p)
	err := w.variables.Declare(vars.Variable[C]{
		Name: name, Replaceable: true,
		Append: func(c C, _ string, dst []byte) ([]byte, bool) {
			value, unset := c.SideState().Slot(slot), w.unset[slot]
			if !value.Set {
				if f := w.otherwise[slot]; f.decl != nil {
					return f.decl.Append(c, f.rest, dst)
				}
				if unset != nil {
					unset(c)
				}
			}
			return append(dst, value.Value...), value.Set || unset != nil
		},
		Assign: func(c C, value []byte) { *c.SideState().Slot(slot) = Slot{Value: value, Set: true} },
	})
	if err != nil {
		return 0, err
	}
	if w.slotNames == nil {
		w.slotNames = map[string]int{}
	}
	w.slotNames[name] = slot
	return slot, nil
}

// OnUnset sets the callback for reading the variable of a slot before it has a value. Such a variable is empty; without
// a callback, it is absent, which logs show as "-". Call it while the configuration is bound.
func (s *Side[C]) OnUnset(p *plan.Plan, slot int, call func(C)) {
	w := partOf[C](p)
	if w.unset == nil {
		w.unset = map[int]func(C){}
	}
	w.unset[slot] = call
}

// member is one variable of a family.
type member[C any] struct {
	decl *vars.Variable[C]
	rest string
}

// absentUnset makes the variable of a slot absent before it has a value, whatever else declares it: as in nginx, a
// named capture decides for a `set` before it too, also if the name is one of a family.
func (s *Side[C]) absentUnset(p *plan.Plan, slot int) {
	w := partOf[C](p)
	delete(w.unset, slot)
	delete(w.otherwise, slot)
}

// OtherwiseOf makes the variable of a slot that of a family (decl and rest are from Find) before it has a value. Call
// it while the configuration is bound.
func (s *Side[C]) OtherwiseOf(p *plan.Plan, slot int, decl *vars.Variable[C], rest string) {
	w := partOf[C](p)
	if w.otherwise == nil {
		w.otherwise = map[int]member[C]{}
	}
	w.otherwise[slot] = member[C]{decl, rest}
}
