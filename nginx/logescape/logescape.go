// Package logescape escapes values of clients for a line of an access log, in the styles of log_format.
package logescape

import "unicode/utf8"

// Style is the escape= of a log_format.
type Style int

// The styles.
const (
	Default Style = iota // \xHH for '"', '\' and anything but printable ASCII; a missing value is "-"
	JSON                 // as in a JSON string
	None
)

// Styles are the styles by the words of escape=.
var Styles = map[string]Style{"default": Default, "json": JSON, "none": None}

// Missing replaces a variable without a value.
func (s Style) Missing() string {
	if s == Default {
		return "-"
	}
	return ""
}

// Needed reports whether Append would change a value.
func (s Style) Needed(value []byte) bool {
	switch s {
	case Default:
		for _, c := range value {
			if c < ' ' || c == '"' || c == '\\' || c > '~' {
				return true
			}
		}
	case JSON:
		for _, c := range value {
			if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
				return true
			}
		}
	}
	return false
}

const upperHex = "0123456789ABCDEF"

// Append adds a value to dst in the style.
func (s Style) Append(dst, value []byte) []byte {
	switch s {
	case Default:
		for _, c := range value {
			if c < ' ' || c == '"' || c == '\\' || c > '~' {
				dst = append(dst, '\\', 'x', upperHex[c>>4], upperHex[c&15])
			} else {
				dst = append(dst, c)
			}
		}
		return dst
	case JSON:
		return appendJSON(dst, value)
	}
	return append(dst, value...)
}

// appendJSON escapes as nginx does. nginx copies bytes that are not UTF-8, and so writes lines that are not JSON; here
// U+FFFD replaces them.
func appendJSON(dst, value []byte) []byte {
	for len(value) > 0 {
		c := value[0]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(value)
			dst = utf8.AppendRune(dst, r)
			value = value[n:]
			continue
		}
		value = value[1:]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= ' ':
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}
