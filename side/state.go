package side

import (
	"strings"

	"starling/nginx/regex"
	"starling/plan"
	"starling/vars"
)

// State is what each request and session embeds: the values that variables and families keep in it. It belongs to the
// goroutine that serves its subject.
type State struct {
	// Captures are those of the last regular expression that matched ($1 to $9).
	Captures regex.Captures
	// Nesting counts the variables whose values are just being found by each other.
	Nesting int
	// GaveUp is set when a regular expression took too long: whether it matches is not known.
	GaveUp bool

	slots []Slot
	trial regex.Captures // swapped with Captures when a match succeeds
}

// Slot is the value of a slot variable, or what a family keeps while a subject is served.
type Slot struct {
	Value []byte
	Set   bool
	// Data and Number are the family's own; a pointer in Data does not allocate.
	Data   any
	Number int64
}

// SideState makes a State that is embedded reachable by the shared code.
func (s *State) SideState() *State { return s }

// Slot gives the place of a slot of NewSlot or SlotVariable. The pointer is valid while the subject lives.
func (s *State) Slot(i int) *Slot { return &s.slots[i] }

// SetSlot gives a slot a value; nil takes it away.
func (s *State) SetSlot(i int, value []byte) { s.slots[i] = Slot{Value: value, Set: value != nil} }

// Reserve makes room for so many slots, all empty. It uses the memory that is there.
func (s *State) Reserve(slots int) {
	if len(s.slots) != slots {
		s.slots = make([]Slot, slots)
	}
}

// Empty returns a State without contents that has the memory of this one, for the next subject.
func (s *State) Empty() State {
	clear(s.slots)
	s.Captures.Reset()
	s.trial.Reset()
	return State{Captures: s.Captures, trial: s.trial, slots: s.slots}
}

// Inherit takes over the values of another subject, but for what only their families can read.
func (s *State) Inherit(from *State) {
	for i := range from.slots {
		if from.slots[i].Data == nil {
			s.slots[i] = from.slots[i]
		}
	}
}

// NewSlot reserves a place that each subject has, for the values of `set` and for what a family remembers. Call it
// while the configuration is bound or built.
func (s *Side[C]) NewSlot(p *plan.Plan) int {
	w := partOf[C](p)
	w.slots++
	return w.slots - 1
}

// Slots is the number of places reserved.
func (s *Side[C]) Slots(p *plan.Plan) int { return partOf[C](p).slots }

// SlotVariable declares a variable that `set`, map-like directives or named captures store into, and returns its slot.
// A name may be declared several times; it is one variable.
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
			value := c.SideState().Slot(slot)
			if !value.Set && w.unset[slot] != nil {
				w.unset[slot](c)
			}
			return append(dst, value.Value...), value.Set
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

// OnUnset sets what is called when the variable of a slot is read before it has a value. Call it while the
// configuration is bound.
func (s *Side[C]) OnUnset(p *plan.Plan, slot int, call func(C)) {
	w := partOf[C](p)
	if w.unset == nil {
		w.unset = map[int]func(C){}
	}
	w.unset[slot] = call
}
