package vars

import (
	"fmt"
	"strings"
)

// Template is a compiled text. The zero Template is the empty text.
type Template[C any] struct {
	text   string
	pieces []piece[C]
}

// piece is a literal or, where use is set, a variable.
type piece[C any] struct {
	literal string
	use     *Use[C]
}

// Compile parses a text by nginx's rules: $name, ${name}, $1. where is returned with the variable if it turns out to be
// unknown.
func (g *Table[C]) Compile(text string, where any) (Template[C], error) {
	t := Template[C]{text: text}
	for rest := text; rest != ""; {
		dollar := strings.IndexByte(rest, '$')
		if dollar < 0 {
			t.pieces = append(t.pieces, piece[C]{literal: rest})
			break
		}
		if dollar > 0 {
			t.pieces = append(t.pieces, piece[C]{literal: rest[:dollar]})
		}
		name, after, err := cutName(rest[dollar+1:], text)
		if err != nil {
			return Template[C]{}, err
		}
		t.pieces = append(t.pieces, piece[C]{use: g.use(name, where)})
		rest = after
	}
	return t, nil
}

// Variable compiles a word that must be exactly one variable ("$uri").
func (g *Table[C]) Variable(word string, where any) (*Use[C], error) {
	t, err := g.Compile(word, where)
	if err != nil || len(t.pieces) != 1 || t.pieces[0].use == nil || !strings.HasPrefix(word, "$") {
		return nil, fmt.Errorf("invalid variable name %q", word)
	}
	return t.pieces[0].use, nil
}

// cutName takes a variable's name from the start of s, which follows a dollar sign.
func cutName(s, text string) (name, after string, err error) {
	braced := strings.HasPrefix(s, "{")
	if braced {
		s = s[1:]
	}
	if s != "" && s[0] >= '1' && s[0] <= '9' { // captures are one digit long
		name, after = s[:1], s[1:]
	} else {
		end := 0
		for end < len(s) && isNameByte(s[end]) {
			end++
		}
		name, after = s[:end], s[end:]
	}
	if braced {
		if !strings.HasPrefix(after, "}") {
			return "", "", fmt.Errorf("the closing bracket in %q variable is missing", name)
		}
		after = after[1:]
	}
	if name == "" {
		return "", "", fmt.Errorf("invalid variable name in %q", text)
	}
	return name, after, nil
}

func isNameByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_'
}

// Append adds the text with the values of its variables; a variable without a value adds nothing.
func (t *Template[C]) Append(dst []byte, c C) []byte {
	for i := range t.pieces {
		if u := t.pieces[i].use; u != nil {
			dst, _ = u.Append(dst, c)
		} else {
			dst = append(dst, t.pieces[i].literal...)
		}
	}
	return dst
}

// Text is the template as it was written.
func (t *Template[C]) Text() string { return t.text }

// Literal returns the text and true if it contains no variable.
func (t *Template[C]) Literal() (string, bool) {
	for i := range t.pieces {
		if t.pieces[i].use != nil {
			return "", false
		}
	}
	return t.text, true
}

// Pieces iterates over the pieces of a template, for callers that treat values specially (escapes of logs and of
// rewritten URIs): use is nil for a literal.
func (t *Template[C]) Pieces(yield func(literal string, use *Use[C]) bool) {
	for i := range t.pieces {
		if !yield(t.pieces[i].literal, t.pieces[i].use) {
			return
		}
	}
}
