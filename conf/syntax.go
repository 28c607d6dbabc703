package conf

import (
	"fmt"
	"slices"
	"strings"
)

// Form is one way to write a term.
type Form struct {
	Kind   FormKind
	Name   string
	Values []string // of a parameter with a fixed set of values
	Bare   bool     // of a parameter: "=value" is optional
}

// FormKind distinguishes the forms.
type FormKind int

const (
	ValueForm FormKind = iota // <x>
	WordForm                  // x
	ParamForm                 // x=…
)

// Term is one part of a Syntax between spaces.
type Term struct {
	Optional bool
	Many     bool
	Forms    []Form
	byPlace  bool // matched by position rather than recognised
}

// Syntax is one parsed line of a Directive's Syntax.
type Syntax struct {
	Terms       []Term
	least, most int // number of arguments; most is -1 for any number
}

// ParseSyntax parses a Directive's Syntax, one entry for each of its lines. Its errors are for the programmer.
func ParseSyntax(text string) ([]Syntax, error) {
	var lines []Syntax
	for _, line := range strings.Split(text, "\n") {
		var s Syntax
		open := 0 // brackets around several terms, each of which is then optional
		for _, word := range strings.Fields(strings.NewReplacer(" | ", "|", " ...", "...").Replace(line)) {
			for ; strings.Count(word, "[") > strings.Count(word, "]") && word[0] == '['; open++ {
				word = word[1:]
			}
			optional := open > 0
			for open > 0 && strings.Count(word, "[") < strings.Count(word, "]") && strings.HasSuffix(word, "]") {
				word = word[:len(word)-1]
				open--
			}
			t, err := compileTerm(word)
			if err != nil {
				return nil, fmt.Errorf("syntax \"%s\": %w", line, err)
			}
			t.Optional = t.Optional || optional
			t.byPlace = t.hasValue() || t.onlyWords() && !t.Optional
			s.Terms = append(s.Terms, t)
		}
		if open > 0 {
			return nil, fmt.Errorf("syntax \"%s\": a bracket is not closed", line)
		}
		s.count()
		lines = append(lines, s)
	}
	return lines, nil
}

func compileTerm(word string) (Term, error) {
	var t Term
	t.Many = strings.Contains(word, "...")
	word = strings.ReplaceAll(word, "...", "")
	if strings.Count(word, "[") != strings.Count(word, "]") || strings.Count(word, "<") != strings.Count(word, ">") {
		return t, fmt.Errorf("brackets of \"%s\" do not match", word)
	}
	if strings.HasPrefix(word, "[") && strings.HasSuffix(word, "]") {
		t.Optional = true
		word = word[1 : len(word)-1]
	}
	for _, part := range strings.Split(word, "|") {
		f := compileForm(part)
		if n := len(t.Forms); n > 0 && f.Kind == WordForm && t.Forms[n-1].Values != nil {
			t.Forms[n-1].Values = append(t.Forms[n-1].Values, part) // type=string|ip|prefix
			continue
		}
		t.Forms = append(t.Forms, f)
	}
	return t, nil
}

func (t *Term) hasValue() bool {
	return slices.ContainsFunc(t.Forms, func(f Form) bool { return f.Kind == ValueForm })
}

func (t *Term) onlyWords() bool {
	return !slices.ContainsFunc(t.Forms, func(f Form) bool { return f.Kind != WordForm })
}

func compileForm(part string) Form {
	name, value, isParam := strings.Cut(part, "=")
	switch {
	case isParam && name != "" && !strings.ContainsAny(name, "<("):
		f := Form{Kind: ParamForm, Name: strings.TrimSuffix(name, "["), Bare: strings.HasSuffix(name, "[")}
		if !strings.Contains(value, "<") {
			f.Values = []string{value}
		}
		return f
	case strings.Contains(part, "<"):
		_, inner, _ := strings.Cut(part, "<")
		inner, _, _ = strings.Cut(inner, ">")
		return Form{Kind: ValueForm, Name: inner}
	}
	return Form{Kind: WordForm, Name: part}
}

func (s *Syntax) count() {
	for _, t := range s.Terms {
		if !t.Optional {
			s.least++
		}
		if t.Many {
			s.most = -1
		} else if s.most >= 0 {
			s.most++
		}
	}
}

// matcher matches the words of one directive with the terms of its syntax.
type matcher struct {
	*Syntax
	named map[string][]string
	used  []bool // per term
}

// match names the words, or returns an error with nginx's text. The count was checked before.
func (s *Syntax) match(directive string, words []string) (map[string][]string, error) {
	m := matcher{Syntax: s, named: make(map[string][]string, len(words)), used: make([]bool, len(s.Terms))}
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
	for i, t := range s.Terms {
		if t.Optional || m.used[i] {
			continue
		}
		if t.byPlace {
			return nil, wrongNumber(directive)
		}
		return nil, fmt.Errorf("\"%s\" must have \"%s\" parameter", directive, t.Forms[0].Name)
	}
	return m.named, nil
}

// leading reports whether term i and those before it are matched strictly by position, so that a key that looks like a
// parameter is still the key.
func (m *matcher) leading(i int) bool {
	return i < len(m.Terms) && m.Terms[i].byPlace && !m.Terms[i].Many && !m.Terms[i].Optional
}

func (m *matcher) nextByPlace() int {
	for i, t := range m.Terms {
		if t.byPlace && (!m.used[i] || t.Many) {
			return i
		}
	}
	return -1
}

// place takes a word for a positional term.
func (m *matcher) place(directive string, i int, word string) error {
	t := &m.Terms[i]
	m.used[i] = true
	for _, f := range t.Forms {
		if f.Kind == WordForm && strings.EqualFold(f.Name, word) {
			m.named[f.Name] = append(m.named[f.Name], f.Name)
			return nil
		}
	}
	for _, f := range t.Forms {
		if f.Kind == ValueForm {
			m.named[f.Name] = append(m.named[f.Name], word)
			return nil
		}
	}
	if len(t.Forms) == 2 && t.Forms[0].Name == "on" && t.Forms[1].Name == "off" {
		return fmt.Errorf("invalid value \"%s\" in \"%s\" directive, it must be \"on\" or \"off\"", word, directive)
	}
	return fmt.Errorf("invalid value \"%s\"", word)
}

// recognise takes a word that is a flag or a parameter of the syntax.
func (m *matcher) recognise(word string) (bool, error) {
	for i, t := range m.Terms {
		if t.byPlace {
			continue
		}
		for _, f := range t.Forms {
			value, taken, err := f.take(word)
			if err != nil {
				return false, err
			}
			if !taken {
				continue
			}
			if m.used[i] && !t.Many {
				return false, fmt.Errorf("duplicate parameter \"%s\"", word)
			}
			m.used[i] = true
			m.named[f.Name] = append(m.named[f.Name], value)
			return true, nil
		}
	}
	return false, nil
}

// take returns the value of a flag (its name, or "" for a parameter without value) or a parameter.
func (f *Form) take(word string) (value string, taken bool, err error) {
	if f.Kind == WordForm {
		return word, word == f.Name, nil
	}
	if f.Bare && word == f.Name {
		return "", true, nil
	}
	value, taken = strings.CutPrefix(word, f.Name+"=")
	if !taken || f.Values == nil {
		return value, taken, nil
	}
	for _, v := range f.Values {
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
