package lookups

import (
	"bytes"
	"fmt"
	"strings"

	"starling/conf"
	"starling/plan"
	"starling/vars"
)

// valueMap is one map block.
type valueMap[C any] struct {
	source    vars.Template[C]
	hostnames bool
	fallback  *choice[C]
	// Keys are in lower case. Suffixes are those of "*.example.org" (".example.org"), prefixes those of "www.example.*" ("www.example.").
	exact, suffixes, prefixes map[string]*choice[C]
	regexes                   []regexChoice[C]
}

type regexChoice[C any] struct {
	regex Regex[C]
	value *choice[C]
}

func (s *Side[C]) declareMap(a *conf.Args) error {
	p := a.Env.(*plan.Plan)
	source, err := s.Variables(p).Compile(a.Words[0], a.Node)
	if err != nil {
		return err
	}
	name, err := variableName(a.Words[1])
	if err != nil {
		return err
	}
	m := &valueMap[C]{source: source, exact: map[string]*choice[C]{}, suffixes: map[string]*choice[C]{}, prefixes: map[string]*choice[C]{}}
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

// addToMap takes one line of a source value and a value.
func (s *Side[C]) addToMap(m *valueMap[C], p *plan.Plan, line *conf.Node) error {
	key := line.Name
	value := &choice[C]{literal: []byte(line.Words[0])}
	text, err := s.Variables(p).Compile(line.Words[0], line)
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
		regex, err := s.CompileRegex(p, pattern, caseless)
		if err != nil {
			return err
		}
		m.regexes = append(m.regexes, regexChoice[C]{regex, value})
		return nil
	}
	return m.add(strings.ToLower(strings.TrimPrefix(key, "\\")), value)
}

// add is ngx_hash_add_key.
func (m *valueMap[C]) add(key string, value *choice[C]) error {
	table, masked := m.exact, key
	switch {
	case !m.hostnames:
	case strings.Count(key, "*") > 1 || strings.Contains(key, "..") || strings.Contains(key, "\x00"):
		return fmt.Errorf("invalid hostname or wildcard \"%s\"", key)
	case strings.HasPrefix(key, ".") && len(key) > 1 && !strings.Contains(key, "*"):
		if err := put(m.exact, key[1:], key, value); err != nil {
			return err
		}
		table = m.suffixes
	case strings.HasPrefix(key, "*.") && len(key) > 2:
		table, masked = m.suffixes, key[1:]
	case strings.HasSuffix(key, ".*") && len(key) > 2:
		table, masked = m.prefixes, key[:len(key)-1]
	case strings.Contains(key, "*"):
		return fmt.Errorf("invalid hostname or wildcard \"%s\"", key)
	}
	return put(table, masked, key, value)
}

func put[C any](table map[string]*choice[C], masked, key string, value *choice[C]) error {
	if table[masked] != nil {
		return fmt.Errorf("conflicting parameter \"%s\"", key)
	}
	table[masked] = value
	return nil
}

// find looks the source's value up.
func (m *valueMap[C]) find(c C, dst []byte) (*choice[C], []byte) {
	start := len(dst)
	dst = m.source.Append(dst, c)
	if m.hostnames && len(dst) > start && dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	// The lower-case form stands behind the subject, which expressions see as it is.
	end := len(dst)
	dst = append(dst, dst[start:]...)
	subject, lower := dst[start:end], dst[end:]
	for i, b := range lower {
		if b >= 'A' && b <= 'Z' {
			lower[i] = b | 0x20
		}
	}
	found := m.exact[string(lower)]
	if found == nil && m.hostnames {
		found = m.findMasked(lower)
	}
	for i := 0; found == nil && i < len(m.regexes); i++ {
		if m.regexes[i].regex.Match(c, subject) {
			found = m.regexes[i].value
		}
	}
	if found == nil {
		found = m.fallback
	}
	return found, dst[:start]
}

// findMasked finds the longest mask that begins with an asterisk, else the longest that ends with one.
func (m *valueMap[C]) findMasked(name []byte) *choice[C] {
	if len(m.suffixes) > 0 {
		for at := bytes.IndexByte(name, '.'); at >= 0; {
			if v := m.suffixes[string(name[at:])]; v != nil && at > 0 {
				return v
			}
			next := bytes.IndexByte(name[at+1:], '.')
			if next < 0 {
				break
			}
			at += 1 + next
		}
	}
	if len(m.prefixes) > 0 {
		for at := bytes.LastIndexByte(name, '.'); at > 0; at = bytes.LastIndexByte(name[:at], '.') {
			if v := m.prefixes[string(name[:at+1])]; v != nil {
				return v
			}
		}
	}
	return nil
}
