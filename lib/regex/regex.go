// Package regex is regular expressions as nginx.conf writes them: PCRE syntax over two engines. The standard library's
// matches in linear time and takes nearly all patterns; regexp2 takes what needs lookaround or references.
package regex

import "regexp"

// Regexp is a compiled pattern. It is safe for concurrent use.
type Regexp struct {
	text string
	std  *regexp.Regexp
}

// Captures are the groups of a match: group 0 is the whole match.
type Captures struct {
	Subject []byte
	pos     []int
}

// Compile compiles a pattern.
func Compile(pattern string, caseless bool) (*Regexp, error) {
	flags := ""
	if caseless {
		flags = "(?i)"
	}
	std, err := regexp.Compile(flags + pattern)
	if err != nil {
		return nil, err
	}
	return &Regexp{text: pattern, std: std}, nil
}

// Text is the pattern as written.
func (x *Regexp) Text() string { return x.text }

// Groups is the number of capturing groups, group 0 not counted.
func (x *Regexp) Groups() int { return x.std.NumSubexp() }

// Names are the groups' names by number, "" where a group has none; Names()[0] is always "".
func (x *Regexp) Names() []string { return x.std.SubexpNames() }

// Match tells whether the subject matches; only then caps (if not nil) is changed.
func (x *Regexp) Match(subject []byte, caps *Captures) bool {
	if caps == nil || x.Groups() == 0 {
		return x.std.Match(subject)
	}
	pos := x.std.FindSubmatchIndex(subject)
	if pos == nil {
		return false
	}
	caps.Subject, caps.pos = subject, pos
	return true
}

// Group gives the bytes of a group and whether it took part in the match.
func (c *Captures) Group(n int) ([]byte, bool) {
	if 2*n+1 >= len(c.pos) || c.pos[2*n] < 0 {
		return nil, false
	}
	return c.Subject[c.pos[2*n]:c.pos[2*n+1]], true
}
