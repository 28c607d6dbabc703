package side

import (
	"fmt"

	"starling/plan"
	"starling/vars"
)

// Assignable returns the setter of a variable for a directive. An undeclared name becomes a slot variable; the value of
// a map or similar directive with that name applies until it is set. The error has nginx's text if the variable cannot
// be changed.
func (s *Side[C]) Assignable(p *plan.Plan, name string) (func(C, []byte), error) {
	all := s.Variables(p)
	known, _ := all.Find(name)
	switch {
	case known == nil:
		if _, err := s.SlotVariable(p, name); err != nil {
			return nil, err
		}
		known, _ = all.Find(name)
		return known.Assign, nil
	case known.Assign != nil:
		return known.Assign, nil
	case !known.Replaceable:
		return nil, fmt.Errorf("the duplicate \"%s\" variable", name)
	}
	before, slot := *known, s.NewSlot(p)
	assign := func(c C, value []byte) { *c.SideState().Slot(slot) = Slot{Value: value, Set: true} }
	return assign, all.Declare(vars.Variable[C]{Name: name, Doc: before.Doc, Replaceable: true, Assign: assign,
		Append: func(c C, rest string, dst []byte) ([]byte, bool) {
			if value := c.SideState().Slot(slot); value.Set {
				return append(dst, value.Value...), true
			}
			return before.Append(c, rest, dst)
		}})
}
