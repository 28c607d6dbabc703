package regex

import "strings"

// translate rewrites syntax that PCRE and the engines write differently, and rejects syntax that they would misread.
func translate(pattern string) (string, error) {
	if strings.HasPrefix(pattern, "(*") {
		return "", &patternError{"verbs are not supported by starling", 0}
	}
	var out strings.Builder
	multiline := hasFlag(pattern, 'm')
	for i := 0; i < len(pattern); {
		switch c := pattern[i]; c {
		case '\\':
			n, err := translateEscape(&out, pattern, i, false)
			if err != nil {
				return "", err
			}
			i += n
		case '[':
			end := classEnd(pattern, i)
			if err := translateClass(&out, pattern, i, end); err != nil {
				return "", err
			}
			i = end
		case '(':
			n, err := translateGroup(&out, pattern, i)
			if err != nil {
				return "", err
			}
			i += n
		case '$':
			// PCRE's "$" also matches before a line feed that ends the subject. A rule that denies "\.php$" must deny
			// "/x.php%0a".
			if multiline {
				out.WriteByte(c)
			} else {
				out.WriteString(`(?:\n?\z)`)
			}
			i++
		default:
			out.WriteByte(c)
			i++
		}
	}
	return out.String(), nil
}

// hasFlag reports whether an inline flag is set anywhere: (?m), (?im:…).
func hasFlag(pattern string, flag byte) bool {
	for rest := pattern; ; {
		at := strings.Index(rest, "(?")
		if at < 0 {
			return false
		}
		rest = rest[at+2:]
		for i := 0; i < len(rest) && (rest[i] >= 'a' && rest[i] <= 'z' || rest[i] == '-'); i++ {
			if rest[i] == '-' {
				break
			}
			if rest[i] == flag {
				return true
			}
		}
	}
}

// classEnd is the position after the "]" that closes the class at i, or the end of the pattern.
func classEnd(pattern string, i int) int {
	j := i + 1
	if j < len(pattern) && pattern[j] == '^' {
		j++
	}
	if j < len(pattern) && pattern[j] == ']' {
		j++ // at the start of a class it is literal
	}
	for j < len(pattern) {
		switch {
		case pattern[j] == '\\':
			j += 2
		case strings.HasPrefix(pattern[j:], "[:"):
			if end := strings.Index(pattern[j:], ":]"); end > 0 {
				j += end + 2
				continue
			}
			j++
		case pattern[j] == ']':
			return j + 1
		default:
			j++
		}
	}
	return len(pattern)
}

func translateClass(out *strings.Builder, pattern string, i, end int) error {
	for j := i; j < end; {
		switch c := pattern[j]; {
		case c == '\\':
			n, err := translateEscape(out, pattern, j, true)
			if err != nil {
				return err
			}
			j += n
		case c == '[' && j > i && !strings.HasPrefix(pattern[j:], "[:"):
			out.WriteString(`\[`) // PCRE takes it for itself; regexp2 might begin a subtraction
			j++
		default:
			out.WriteByte(c)
			j++
		}
	}
	return nil
}

// The sets of PCRE that the engines lack or define differently.
const (
	horizontal = `\t\x20`
	vertical   = `\n\x0b\f\r`
	spaces     = `\t\n\x0b\f\r\x20`
)

// translateEscape writes the meaning of a backslash and the next byte, and returns their length.
func translateEscape(out *strings.Builder, pattern string, i int, inClass bool) (int, error) {
	if i+1 == len(pattern) {
		return 0, &patternError{`\ at end of pattern`, len(pattern)}
	}
	c := pattern[i+1]
	set, negated := "", false
	switch c {
	case 'h':
		set = horizontal
	case 'H':
		set, negated = horizontal, true
	case 'v':
		set = vertical
	case 'V':
		set, negated = vertical, true
	case 's':
		set = spaces
	case 'S':
		set, negated = spaces, true
	case 'N':
		set, negated = `\n`, true
	case 'e':
		out.WriteString(`\x1b`)
		return 2, nil
	case 'Q':
		return translateLiteral(out, pattern, i), nil
	case 'E':
		return 2, nil // the end of nothing
	case 'K', 'R', 'X', 'G', 'C':
		return 0, &patternError{`\` + string(c) + ` is not supported by starling`, i}
	default:
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			if !strings.ContainsRune("abBdDfgknprtPwWxzZAzo", rune(c)) {
				return 0, &patternError{`unrecognized character follows \`, i + 1}
			}
		}
		out.WriteByte('\\')
		out.WriteByte(c)
		return 2, nil
	}
	switch {
	case inClass && negated:
		if c == 'S' {
			out.WriteString(`\S`)
			return 2, nil
		}
		return 0, &patternError{`\` + string(c) + ` in a class is not supported by starling`, i}
	case inClass:
		out.WriteString(set)
	case negated:
		out.WriteString("[^" + set + "]")
	default:
		out.WriteString("[" + set + "]")
	}
	return 2, nil
}

// translateLiteral writes \Q…\E byte by byte, because regexp2 does not support it.
func translateLiteral(out *strings.Builder, pattern string, i int) int {
	text, _, closed := strings.Cut(pattern[i+2:], `\E`)
	for j := range len(text) {
		if c := text[j]; c < 0x80 && !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z') {
			out.WriteByte('\\')
		}
		out.WriteByte(text[j])
	}
	if closed {
		return 2 + len(text) + 2
	}
	return 2 + len(text)
}

// refusedGroups are beginnings of groups that neither engine supports.
var refusedGroups = []struct{ begin, what string }{
	{"(*", "verbs are not supported by starling"},
	{"(?|", "branch reset groups are not supported by starling"},
	{"(?R", "recursion is not supported by starling"},
	{"(?&", "recursion is not supported by starling"},
	{"(?P>", "recursion is not supported by starling"},
	{"(?C", "callouts are not supported by starling"},
	{"(?(", "conditional groups are not supported by starling"},
}

// translateGroup writes the beginning of a group and returns its length.
func translateGroup(out *strings.Builder, pattern string, i int) (int, error) {
	rest := pattern[i:]
	for _, g := range refusedGroups {
		if strings.HasPrefix(rest, g.begin) {
			return 0, &patternError{g.what, i}
		}
	}
	if len(rest) > 2 && rest[1] == '?' && (rest[2] >= '0' && rest[2] <= '9' || rest[2] == '+') {
		return 0, &patternError{"recursion is not supported by starling", i}
	}
	switch {
	case strings.HasPrefix(rest, "(?P<"):
		out.WriteString("(?<")
		return 4, nil
	case strings.HasPrefix(rest, "(?P="):
		name, _, _ := strings.Cut(rest[4:], ")")
		out.WriteString(`\k<` + name + ">")
		return min(4+len(name)+1, len(rest)), nil
	case strings.HasPrefix(rest, "(?#"):
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return 0, &patternError{"missing ) after (?# comment", len(pattern)}
		}
		return end + 1, nil
	}
	out.WriteByte('(')
	return 1, nil
}
