// Package h1 is HTTP/1.1 on the wire, both sides: heads, bodies and the buffers under them.
//
// It knows nothing else of starling. Heads are parsed into reusable structs whose slices point into the read buffer,
// and an ordinary request allocates nothing. DESIGN.md lists what is rejected and why.
package h1

import (
	"starling/nginx/ascii"
)

// Header is one field as written. Name and Value point into the buffer from which they were read (without the white
// space around the value) or into memory of the header's writer; they must not be changed in place.
type Header struct {
	Name, Value []byte
	ID          Known
}

// Headers are fields in the order they were sent; a name can occur more than once.
type Headers []Header

// Get returns the first value of a known header and whether there is one.
func (h Headers) Get(id Known) ([]byte, bool) {
	for i := range h {
		if h[i].ID == id {
			return h[i].Value, true
		}
	}
	return nil, false
}

// Lookup returns the index of the first header at or after from with the lower-case name, in any case, or -1. A '_' in
// name also matches '-', for variables such as $http_x_foo.
func (h Headers) Lookup(name string, from int) int {
	for i := from; i < len(h); i++ {
		if matchesName(h[i].Name, name) {
			return i
		}
	}
	return -1
}

func matchesName(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range len(lower) {
		if c := b[i]; ascii.Lower(c) != lower[i] && (c != '-' || lower[i] != '_') {
			return false
		}
	}
	return true
}

// nameClass classifies a header's name.
type nameClass uint8

const (
	namePlain  nameClass = iota // letters, digits, '-'
	nameOdd                     // a token, but nginx calls it invalid: '_', '.', '!' and similar
	nameBroken                  // not a token by RFC 9110, but not dangerous: nginx drops or forwards it
	nameBad                     // empty, no colon, white space or controls: the message cannot be trusted
)

// parseField splits a header line (without its line end); bad is the index of the byte that made it nameBad. The value
// is trimmed but not checked, because different rules apply to clients and servers.
func parseField(line []byte, h *Header) (class nameClass, bad int) {
	var lower [maxKnownBytes]byte
	i := 0
	for ; i < len(line); i++ {
		l := plainName[line[i]]
		if l == 0 {
			break
		}
		lower[i&(maxKnownBytes-1)] = l
	}
	if i == len(line) || i == 0 && line[0] == ':' {
		return nameBad, i
	}
	h.ID = HeaderOther
	if line[i] == ':' {
		if i <= maxKnownBytes {
			h.ID = identifyLower(lower[:i])
		}
	} else if class, i = scanOddName(line, i); class == nameBad {
		return class, i
	}
	h.Name = line[:i:i]
	value := trimSpace(line[i+1:])
	h.Value = value[:len(value):len(value)]
	return class, 0
}

// scanOddName continues where parseField found a byte that is not plain, up to the colon.
func scanOddName(line []byte, i int) (nameClass, int) {
	class := nameOdd
	for ; i < len(line); i++ {
		c := line[i]
		switch {
		case c == ':':
			return class, i
		case c <= 0x20 || c == 0x7f:
			return nameBad, i
		case !tokenByte[c]:
			class = nameBroken
		}
	}
	return nameBad, i
}
