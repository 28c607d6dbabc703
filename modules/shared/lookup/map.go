package lookup

import (
	"errors"
	"fmt"
	"strings"

	"starling/conf"
	"starling/nginx/ascii"
	"starling/nginx/hostnames"
	"starling/plan"
	"starling/side"
	"starling/vars"
)

// valueMap is one map block.
type valueMap[C side.Subject] struct {
	source    vars.Template[C]
	hostnames bool
	fallback  *choice[C]
	values    hostnames.Table[*choice[C]]
	regexes   []regexChoice[C]
}

type regexChoice[C side.Subject] struct {
	regex *side.Regex[C]
	value *choice[C]
}

func (s *family[C]) declareMap(a *conf.Args) error {
	p := side.PlanOf(a)
	source, err := s.side.Variables(p).Compile(a.Words[0], a.Node)
	if err != nil {
		return err
	}
	name, err := variableName(a.Words[1])
	if err != nil {
		return err
	}
	m := &valueMap[C]{source: source}
	volatile := false
	for _, line := range a.Node.Block {
		switch {
		case line.Name == "hostnames" && len(line.Words) == 0:
			m.hostnames = true
		case line.Name == "volatile" && len(line.Words) == 0:
			volatile = true
		case len(line.Words) != 1:
			return conf.At(line, "invalid number of the map parameters")
		default:
			if err := s.addToMap(m, p, line); err != nil {
				return conf.At(line, "%s", err)
			}
		}
	}
	if m.fallback == nil {
		m.fallback = none[C]()
	}
	return s.declare(a, name, "The value that a map gives for `"+a.Words[0]+"`.", volatile, m)
}

// addToMap adds one line of a source value and a value.
func (s *family[C]) addToMap(m *valueMap[C], p *plan.Plan, line *conf.Node) error {
	key := line.Name
	value := &choice[C]{literal: []byte(line.Words[0])}
	text, err := s.side.Variables(p).Compile(line.Words[0], line)
	if err != nil {
		return err
	}
	if _, literal := text.Literal(); !literal {
		value.text = &text
	}
	if key == "default" {
		if m.fallback != nil {
			return fmt.Errorf("duplicate default map parameter")
		}
		m.fallback = value
		return nil
	}
	if pattern, isRegex := strings.CutPrefix(key, "~"); isRegex {
		pattern, caseless := strings.CutPrefix(pattern, "*")
		regex, err := s.side.Regex(p, pattern, caseless)
		if err != nil {
			return err
		}
		m.regexes = append(m.regexes, regexChoice[C]{regex, value})
		return nil
	}
	return m.add(strings.ToLower(strings.TrimPrefix(key, "\\")), value)
}

func (m *valueMap[C]) add(key string, value *choice[C]) error {
	add := m.values.AddExact
	if m.hostnames {
		add = m.values.Add
	}
	switch err := add(key, value); {
	case errors.Is(err, hostnames.ErrTaken):
		return fmt.Errorf("conflicting parameter \"%s\"", key)
	case err != nil:
		return fmt.Errorf("invalid hostname or wildcard \"%s\"", key)
	}
	return nil
}

// find looks the source's value up.
func (m *valueMap[C]) find(c C, dst []byte) (*choice[C], []byte) {
	start := len(dst)
	dst = m.source.Append(dst, c)
	if m.hostnames && len(dst) > start && dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	// The lower-case form is after the subject, which expressions see unchanged.
	end := len(dst)
	dst = ascii.AppendLower(dst, dst[start:])
	subject, lower := dst[start:end], dst[end:]
	found, _ := m.values.Find(lower)
	// As in nginx, an empty value matches no expression, not even ~^$: a broad mask must not match an absent header.
	for i := 0; found == nil && len(subject) > 0 && i < len(m.regexes); i++ {
		if m.regexes[i].regex.Match(c, subject) {
			found = m.regexes[i].value
		}
	}
	if found == nil {
		found = m.fallback
	}
	return found, dst[:start]
}
