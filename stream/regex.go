package stream

import (
	"strings"

	"starling/logs"
	"starling/nginx/regex"
	"starling/plan"
	"starling/vars"
)

// Regex is a regular expression whose captures become $1 to $9 of the session and, if they have names, variables.
type Regex struct {
	*regex.Regexp
	named []namedCapture
}

type namedCapture struct{ group, slot int }

// CompileRegex compiles an expression while the configuration is bound or built and declares its named captures as variables.
func CompileRegex(p *plan.Plan, pattern string, caseless bool) (*Regex, error) {
	re, err := regex.Compile(pattern, caseless)
	if err != nil {
		return nil, err
	}
	x := &Regex{Regexp: re}
	for group, name := range re.Names() {
		if name == "" {
			continue
		}
		slot, err := SlotVariable(p, name)
		if err != nil {
			return nil, err
		}
		x.named = append(x.named, namedCapture{group, slot})
	}
	return x, nil
}

// Match tells whether the subject matches, and if so sets the captures of the session, of a copy of the subject. A match that was
// given up is logged.
func (x *Regex) Match(s *Session, subject []byte) bool {
	if x.Groups() == 0 {
		matched, err := x.Regexp.Match(subject, nil)
		x.logFailure(s, subject, err)
		return matched
	}
	matched, err := x.Regexp.Match(subject, &s.Captures)
	x.logFailure(s, subject, err)
	if !matched {
		return false
	}
	s.Captures.Subject = append([]byte(nil), subject...)
	for _, n := range x.named {
		value, _ := s.Captures.Group(n.group)
		s.SetSlot(n.slot, value)
	}
	return true
}

func (x *Regex) logFailure(s *Session, subject []byte, err error) {
	if err != nil {
		s.Logf(logs.Error, "%v on \"%s\" using \"%s\"", err, subject, x.Text())
	}
}

// slotNames are the variables of SlotVariable.
type slotNames struct{ byName map[string]int }

// SlotVariable declares a variable that `set` or named captures store into, and returns its slot. A name may be declared so many
// times; it is one variable.
func SlotVariable(p *plan.Plan, name string) (int, error) {
	name = strings.ToLower(name)
	known := plan.Part[slotNames](p)
	if slot, found := known.byName[name]; found {
		return slot, nil
	}
	slot := NewSlot(p)
	err := Variables(p).Declare(vars.Variable[*Session]{
		Name: name, Replaceable: true,
		Append: func(s *Session, _ string, dst []byte) ([]byte, bool) {
			value := s.Slot(slot)
			return append(dst, value...), value != nil
		},
		Assign: func(s *Session, value []byte) { s.SetSlot(slot, value) },
	})
	if err != nil {
		return 0, err
	}
	if known.byName == nil {
		known.byName = map[string]int{}
	}
	known.byName[name] = slot
	return slot, nil
}

// captureVariables are $1 to $9.
func captureVariables() (all []vars.Variable[*Session]) {
	for group := 1; group <= 9; group++ {
		all = append(all, vars.Variable[*Session]{
			Name: string(rune('0' + group)), Doc: "a capture of the last regular expression that matched",
			Append: func(s *Session, _ string, dst []byte) ([]byte, bool) {
				b, set := s.Captures.Group(group)
				return append(dst, b...), set
			},
		})
	}
	return all
}
