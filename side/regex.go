package side

import (
	"starling/logs"
	"starling/nginx/regex"
	"starling/plan"
	"starling/vars"
)

// Regex is a regular expression whose captures become $1 to $9 and, if named, variables.
type Regex[C Subject] struct {
	*regex.Regexp
	named []namedCapture
}

type namedCapture struct{ group, slot int }

// Regex compiles an expression while the configuration is bound or built, and declares its named captures as variables.
func (s *Side[C]) Regex(p *plan.Plan, pattern string, caseless bool) (*Regex[C], error) {
	re, err := regex.Compile(pattern, caseless)
	if err != nil {
		return nil, err
	}
	x := &Regex[C]{Regexp: re}
	for group, name := range re.Names() {
		if name == "" {
			continue
		}
		slot, err := s.SlotVariable(p, name)
		if err != nil {
			return nil, err
		}
		s.absentUnset(p, slot)
		x.named = append(x.named, namedCapture{group, slot})
	}
	return x, nil
}

// Match reports whether the text matches, and if so sets the captures of the subject: as in nginx, an expression
// without groups leaves none of those before. The text is copied only if there are captures: it can be a path that a
// rewrite replaces, or scratch memory. A match that takes too long counts as none; it is logged and noted in
// State.GaveUp.
func (x *Regex[C]) Match(c C, text []byte) bool {
	state := c.SideState()
	matched, err := x.Regexp.Match(text, &state.trial)
	if err != nil {
		state.GaveUp = true
		c.Logf(logs.Error, "%v on \"%s\" using \"%s\"", err, text, x.Text())
	}
	if !matched {
		return false
	}
	if x.Groups() == 0 {
		state.Captures.Reset()
		return true
	}
	state.Captures, state.trial = state.trial, state.Captures
	state.Captures.Subject = c.Copy(text)
	for _, n := range x.named {
		value, set := state.Captures.Group(n.group)
		state.slots[n.slot] = Slot{Value: value, Set: set}
	}
	return true
}

// CaptureVariables are $1 to $9.
func CaptureVariables[C Subject]() (all []vars.Variable[C]) {
	for group := 1; group <= 9; group++ {
		all = append(all, vars.Variable[C]{
			Name: string(rune('0' + group)), Doc: "A capture of the last regular expression that matched.",
			Append: func(c C, _ string, dst []byte) ([]byte, bool) {
				value, set := c.SideState().Captures.Group(group)
				return append(dst, value...), set
			},
		})
	}
	return all
}
