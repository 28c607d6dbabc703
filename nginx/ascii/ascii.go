// Package ascii compares and lowers as nginx does: letters A to Z only, every other byte stays. The Unicode folding of
// bytes and strings would treat the Kelvin sign as a k, and may change the length.
package ascii

// Lower returns the small letter of a capital, and any other byte unchanged.
func Lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// Equal reports whether a and b are equal, ignoring the case of letters.
func Equal(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if c != b[i] && Lower(c) != Lower(b[i]) {
			return false
		}
	}
	return true
}

// EqualString is Equal with a string.
func EqualString(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if c != b[i] && Lower(c) != Lower(b[i]) {
			return false
		}
	}
	return true
}

// AppendLower appends src in lower case. It may lower a slice in place: AppendLower(b[:0], b).
func AppendLower(dst, src []byte) []byte {
	for _, c := range src {
		dst = append(dst, Lower(c))
	}
	return dst
}
