package sub

import (
	"math"

	"starling/nginx/ascii"
)

// matcher finds the first of several strings in a text that comes in pieces, ignoring case. It is Horspool's algorithm
// (Software: Practice and Experience 10, 1980) for several strings, as in nginx: the shift is that of the shortest one.
type matcher struct {
	strings [][]byte // in lower case, none empty
	least   int      // length of the shortest
	shift   [256]uint16
}

// nothing is the index of no match.
const nothing = -1

// newMatcher takes strings in lower case; nil ones never match.
func newMatcher(strings [][]byte) *matcher {
	m := &matcher{strings: strings, least: math.MaxUint16}
	for _, s := range strings {
		if s != nil {
			m.least = min(m.least, len(s))
		}
	}
	for c := range m.shift {
		m.shift[c] = uint16(m.least)
	}
	for _, s := range strings {
		if s == nil {
			continue
		}
		for i, c := range s[:m.least] {
			m.shift[c] = min(m.shift[c], uint16(m.least-1-i))
		}
	}
	return m
}

// find looks for the first match in text; whole means that nothing follows. done marks strings that are no longer
// wanted. If it finds nothing, the text from at on must be kept, because a match may begin there.
func (m *matcher) find(text []byte, whole bool, done []bool) (index, at int) {
	for at = 0; at+m.least <= len(text); {
		shift := m.shift[ascii.Lower(text[at+m.least-1])]
		if shift > 0 {
			at += int(shift)
			continue
		}
		for i, s := range m.strings {
			if s == nil || done[i] {
				continue
			}
			rest := text[at:min(at+len(s), len(text))]
			if !equalLower(rest, s[:len(rest)]) {
				continue
			}
			if len(rest) == len(s) {
				return i, at
			}
			if !whole {
				return nothing, at // this one may still match, and it comes before the others
			}
		}
		at++
	}
	if whole {
		return nothing, len(text)
	}
	for at = min(at, len(text)); at < len(text) && !m.begins(text[at:], done); at++ {
	}
	return nothing, at
}

// begins reports whether the end of a text is the beginning of a string.
func (m *matcher) begins(end []byte, done []bool) bool {
	for i, s := range m.strings {
		if len(s) > len(end) && !done[i] && equalLower(end, s[:len(end)]) {
			return true
		}
	}
	return false
}

// equalLower compares a text with a lower-case one of the same length.
func equalLower(text, lower []byte) bool {
	for i, c := range text {
		if ascii.Lower(c) != lower[i] {
			return false
		}
	}
	return true
}
