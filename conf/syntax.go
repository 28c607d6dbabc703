package conf

import (
	"fmt"
	"slices"
	"strings"
)

// form is one way to write a term: a value <x>, a word, or a parameter x=….
type form struct {
	kind   formKind
	name   string
	values []string // of a parameter that takes only these
	bare   bool     // of a parameter: the "=value" may be left out
}

type formKind int

const (
	valueForm formKind = iota
	wordForm
	paramForm
)

// term is one part of a Syntax between spaces.
type term struct {
	optional bool
	many     bool
	byPlace  bool // taken by position rather than recognised
	forms    []form
}

// syntax is one compiled line of a Directive's Syntax.
type syntax struct {
	terms       []term
	least, most int // arguments; most is -1 for any number
}

// compile reads a Syntax; its errors are for the programmer.
func compile(text string) ([]syntax, error) {
	var lines []syntax
	for _, line := range strings.Split(text, "\n") {
		var s syntax
		open := 0 // brackets around several terms, each of which is then optional
		for _, word := range strings.Fields(strings.NewReplacer(" | ", "|", " ...", "...").Replace(line)) {
			for ; strings.Count(word, "[") > strings.Count(word, "]") && word[0] == '['; open++ {
				word = word[1:]
			}
			optional := open > 0
			for ; strings.Count(word, "[") < strings.Count(word, "]") && open > 0 && strings.HasSuffix(word, "]"); open-- {
				word = word[:len(word)-1]
			}
			t, err := compileTerm(word)
			if err != nil {
				return nil, fmt.Errorf("syntax \"%s\": %w", line, err)
			}
			t.optional = t.optional || optional
			t.byPlace = t.hasValue() || t.onlyWords() && !t.optional
			s.terms = append(s.terms, t)
		}
		if open > 0 {
			return nil, fmt.Errorf("syntax \"%s\": a bracket is not closed", line)
		}
		s.count()
		lines = append(lines, s)
	}
	return lines, nil
}

func compileTerm(word string) (term, error) {
	var t term
	t.many = strings.Contains(word, "...")
	word = strings.ReplaceAll(word, "...", "")
	if strings.Count(word, "[") != strings.Count(word, "]") || strings.Count(word, "<") != strings.Count(word, ">") {
		return t, fmt.Errorf("brackets of \"%s\" do not match", word)
	}
	if strings.HasPrefix(word, "[") && strings.HasSuffix(word, "]") {
		t.optional = true
		word = word[1 : len(word)-1]
	}
	for _, part := range strings.Split(word, "|") {
		f := compileForm(part)
		if n := len(t.forms); n > 0 && f.kind == wordForm && t.forms[n-1].values != nil {
			t.forms[n-1].values = append(t.forms[n-1].values, part) // type=string|ip|prefix
			continue
		}
		t.forms = append(t.forms, f)
	}
	return t, nil
}

func (t *term) hasValue() bool {
	return slices.ContainsFunc(t.forms, func(f form) bool { return f.kind == valueForm })
}

func (t *term) onlyWords() bool {
	return !slices.ContainsFunc(t.forms, func(f form) bool { return f.kind != wordForm })
}

func compileForm(part string) form {
	name, value, isParam := strings.Cut(part, "=")
	switch {
	case isParam && name != "" && !strings.ContainsAny(name, "<("):
		f := form{kind: paramForm, name: strings.TrimSuffix(name, "["), bare: strings.HasSuffix(name, "[")}
		if !strings.Contains(value, "<") {
			f.values = []string{value}
		}
		return f
	case strings.Contains(part, "<"):
		_, inner, _ := strings.Cut(part, "<")
		inner, _, _ = strings.Cut(inner, ">")
		return form{kind: valueForm, name: inner}
	}
	return form{kind: wordForm, name: part}
}

func (s *syntax) count() {
	for _, t := range s.terms {
		if !t.optional {
			s.least++
		}
		if t.many {
			s.most = -1
		} else if s.most >= 0 {
			s.most++
		}
	}
}

// matcher puts the words of one directive into the terms of its syntax.
type matcher struct {
	*syntax
	named map[string][]string
	used  []bool // per term
}

// match names the words, or says in nginx's words what is wrong with them. The count was checked before.
func (s *syntax) match(directive string, words []string) (map[string][]string, error) {
	m := matcher{syntax: s, named: make(map[string][]string, len(words)), used: make([]bool, len(s.terms))}
	i := 0
	for ; i < len(words) && m.leading(i); i++ {
		if err := m.place(directive, i, words[i]); err != nil {
			return nil, err
		}
	}
	for _, word := range words[i:] {
		if taken, err := m.recognise(word); err != nil {
			return nil, err
		} else if taken {
			continue
		}
		next := m.nextByPlace()
		if next < 0 {
			return nil, invalidParameter(word)
		}
		if err := m.place(directive, next, word); err != nil {
			return nil, err
		}
	}
	for i, t := range s.terms {
		if t.optional || m.used[i] {
			continue
		}
		if t.byPlace {
			return nil, wrongNumber(directive)
		}
		return nil, fmt.Errorf("\"%s\" must have \"%s\" parameter", directive, t.forms[0].name)
	}
	return m.named, nil
}

// leading tells whether term i and those before it go strictly by position, so that a key that looks like
// a parameter is still the key.
func (m *matcher) leading(i int) bool {
	return i < len(m.terms) && m.terms[i].byPlace && !m.terms[i].many && !m.terms[i].optional
}

func (m *matcher) nextByPlace() int {
	for i, t := range m.terms {
		if t.byPlace && (!m.used[i] || t.many) {
			return i
		}
	}
	return -1
}

// place takes a word for a term that goes by position.
func (m *matcher) place(directive string, i int, word string) error {
	t := &m.terms[i]
	m.used[i] = true
	for _, f := range t.forms {
		if f.kind == wordForm && strings.EqualFold(f.name, word) {
			m.named[f.name] = append(m.named[f.name], f.name)
			return nil
		}
	}
	for _, f := range t.forms {
		if f.kind == valueForm {
			m.named[f.name] = append(m.named[f.name], word)
			return nil
		}
	}
	if len(t.forms) == 2 && t.forms[0].name == "on" && t.forms[1].name == "off" {
		return fmt.Errorf("invalid value \"%s\" in \"%s\" directive, it must be \"on\" or \"off\"", word, directive)
	}
	return fmt.Errorf("invalid value \"%s\"", word)
}

// recognise takes a word that is a flag or a parameter of the syntax.
func (m *matcher) recognise(word string) (bool, error) {
	for i, t := range m.terms {
		if t.byPlace {
			continue
		}
		for _, f := range t.forms {
			value, taken, err := f.take(word)
			if err != nil {
				return false, err
			}
			if !taken {
				continue
			}
			if m.used[i] && !t.many {
				return false, fmt.Errorf("duplicate parameter \"%s\"", word)
			}
			m.used[i] = true
			m.named[f.name] = append(m.named[f.name], value)
			return true, nil
		}
	}
	return false, nil
}

// take returns the value of a flag (its name, or "" for a parameter without value) or a parameter.
func (f *form) take(word string) (value string, taken bool, err error) {
	if f.kind == wordForm {
		return word, word == f.name, nil
	}
	if f.bare && word == f.name {
		return "", true, nil
	}
	value, taken = strings.CutPrefix(word, f.name+"=")
	if !taken || f.values == nil {
		return value, taken, nil
	}
	for _, v := range f.values {
		if v == value {
			return value, true, nil
		}
	}
	return "", false, invalidParameter(word)
}

func invalidParameter(word string) error { return fmt.Errorf("invalid parameter \"%s\"", word) }

func wrongNumber(directive string) error {
	return fmt.Errorf("invalid number of arguments in \"%s\" directive", directive)
}
