// Package regex implements the regular expressions of nginx.conf: PCRE syntax on two engines. The standard library's
// matches in linear time and supports nearly all patterns; regexp2 backtracks and supports lookaround and references.
//
// Differences from PCRE: "." and classes of the standard engine match whole UTF-8 characters where nginx without
// (*UTF8) matches bytes; recursion, \K, \R, \X, \G and verbs are rejected by name.
package regex

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"time"

	"github.com/dlclark/regexp2/v2"
)

// Bounds of the backtracking engine: input from a stranger must not occupy a processor. Its clock ticks every 100 ms,
// so a match may run that much longer.
const (
	matchTimeout     = 100 * time.Millisecond
	maxBacktrackings = 1 << 20
)

// Regexp is a compiled pattern. It is safe for concurrent use.
type Regexp struct {
	text   string
	groups int
	names  []string

	std  *regexp.Regexp
	back *regexp2.Regexp
}

// Captures are the groups of a match: group 0 is the whole match. Reuse keeps their memory.
type Captures struct {
	Subject []byte
	pos     []int
}

// CopyFrom makes the groups those of another match, whose subject both share.
func (c *Captures) CopyFrom(o *Captures) {
	c.Subject, c.pos = o.Subject, append(c.pos[:0], o.pos...)
}

// Compile compiles a pattern; caseless is the ~* of nginx. The error has nginx's text.
func Compile(pattern string, caseless bool) (*Regexp, error) {
	translated, err := translate(pattern)
	if err != nil {
		return nil, compileError(pattern, err)
	}
	x := &Regexp{text: pattern}
	flags := ""
	if caseless {
		flags = "(?i)"
	}
	std, stdErr := regexp.Compile(flags + translated)
	if stdErr == nil {
		x.std, x.groups, x.names = std, std.NumSubexp(), std.SubexpNames()
		return x, nil
	}
	if x.back, err = backtracking(translated, caseless); err != nil {
		return nil, compileError(pattern, stdErr)
	}
	x.nameGroups()
	return x, nil
}

// CompileBytes is Compile for binary data: a byte above 0x7f in the pattern, written as it is or as \xHH, matches that
// byte. The standard engine would take it for a character.
func CompileBytes(pattern string, caseless bool) (*Regexp, error) {
	if !namesHighBytes(pattern) {
		return Compile(pattern, caseless)
	}
	translated, err := translate(pattern)
	if err != nil {
		return nil, compileError(pattern, err)
	}
	x := &Regexp{text: pattern}
	if x.back, err = backtracking(translated, caseless); err != nil {
		return nil, compileError(pattern, err)
	}
	x.nameGroups()
	return x, nil
}

// namesHighBytes reports whether a pattern contains a byte above 0x7f or the escape of one.
func namesHighBytes(pattern string) bool {
	for i := 0; i < len(pattern); i++ {
		switch {
		case pattern[i] >= 0x80:
			return true
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			digits := pattern[i+1:]
			if pattern[i] == 'x' && len(digits) >= 2 && strings.IndexByte("89abcdefABCDEF", digits[0]) >= 0 &&
				strings.IndexByte("0123456789abcdefABCDEF", digits[1]) >= 0 {
				return true
			}
		}
	}
	return false
}

// nameGroups takes numbers and names of groups from the backtracking engine.
func (x *Regexp) nameGroups() {
	x.groups = len(x.back.GetGroupNumbers()) - 1
	x.names = make([]string, x.groups+1)
	for n := 1; n <= x.groups; n++ {
		if name := x.back.GroupNameFromNumber(n); name != itoa(n) {
			x.names[n] = name
		}
	}
}

func itoa(n int) string { return fmt.Sprint(n) }

// backtracking compiles for bytes: each byte of pattern and subject is one character, as in PCRE without UTF.
func backtracking(pattern string, caseless bool) (*regexp2.Regexp, error) {
	options := regexp2.RE2
	if caseless {
		options |= regexp2.IgnoreCase
	}
	x, err := regexp2.Compile(string(widen(nil, []byte(pattern))), options,
		regexp2.OptionMaintainCaptureOrder(), regexp2.OptionMaxBacktrackingStackSize(maxBacktrackings))
	if err != nil {
		return nil, err
	}
	x.MatchTimeout = matchTimeout
	return x, nil
}

// Text is the pattern as written.
func (x *Regexp) Text() string { return x.text }

// Groups is the number of capturing groups, without group 0.
func (x *Regexp) Groups() int { return x.groups }

// Names are the groups' names by number, "" if a group has none; Names()[0] is always "".
func (x *Regexp) Names() []string { return x.names }

// Match reports whether the subject matches; only then caps (if not nil) is changed. The error means that the
// backtracking engine gave up. Without groups nothing is allocated.
func (x *Regexp) Match(subject []byte, caps *Captures) (bool, error) {
	switch {
	case x.back != nil:
		return x.matchBack(subject, caps)
	case caps == nil || x.groups == 0:
		matched := x.std.Match(subject)
		if matched && caps != nil {
			caps.Subject, caps.pos = subject, caps.pos[:0]
		}
		return matched, nil
	}
	pos := x.std.FindSubmatchIndex(subject)
	if pos == nil {
		return false, nil
	}
	caps.Subject, caps.pos = subject, pos
	return true, nil
}

// wide holds the subject for the backtracking engine.
var wide = sync.Pool{New: func() any { return new([]rune) }}

func widen(dst []rune, bytes []byte) []rune {
	for _, b := range bytes {
		dst = append(dst, rune(b))
	}
	return dst
}

func (x *Regexp) matchBack(subject []byte, caps *Captures) (bool, error) {
	buf := wide.Get().(*[]rune)
	defer wide.Put(buf)
	*buf = widen((*buf)[:0], subject)
	if caps == nil {
		matched, err := x.back.MatchRunes(*buf)
		return matched, matchError(err)
	}
	m, err := x.back.FindRunesMatch(*buf)
	if err != nil || m == nil {
		return false, matchError(err)
	}
	caps.Subject, caps.pos = subject, caps.pos[:0]
	for n := 0; n <= x.groups; n++ {
		if g := m.GroupByNumber(n); g != nil && len(g.Captures) > 0 {
			caps.pos = append(caps.pos, g.RuneIndex, g.RuneIndex+g.RuneLength)
		} else {
			caps.pos = append(caps.pos, -1, -1)
		}
	}
	return true, nil
}

func matchError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("pcre2_match() failed: match limit exceeded (%w)", err)
}

// Group returns the bytes of a group and whether it took part in the match.
func (c *Captures) Group(n int) ([]byte, bool) {
	if 2*n+1 >= len(c.pos) || c.pos[2*n] < 0 {
		return nil, false
	}
	return c.Subject[c.pos[2*n]:c.pos[2*n+1]], true
}

// Reset clears the captures and keeps their memory.
func (c *Captures) Reset() { c.Subject, c.pos = nil, c.pos[:0] }

// patternError is an error at a byte of the pattern; -1 means that it has no position.
type patternError struct {
	what string
	at   int
}

func (e *patternError) Error() string { return e.what }

// compileError words a failure as nginx with PCRE2 does.
func compileError(pattern string, err error) error {
	var own *patternError
	what, at := err.Error(), -1
	var std *syntax.Error
	switch {
	case errors.As(err, &own):
		what, at = own.what, own.at
	case errors.As(err, &std):
		what = std.Code.String()
		if known, ok := pcreWords[std.Code]; ok {
			what = known
		}
		at = place(pattern, std)
	}
	if at < 0 || at >= len(pattern) {
		return fmt.Errorf("pcre2_compile() failed: %s in \"%s\"", what, pattern)
	}
	return fmt.Errorf("pcre2_compile() failed: %s in \"%s\" at \"%s\"", what, pattern, pattern[at:])
}

// pcreWords are PCRE2's messages.
var pcreWords = map[syntax.ErrorCode]string{
	syntax.ErrMissingParen:          "missing closing parenthesis",
	syntax.ErrUnexpectedParen:       "unmatched closing parenthesis",
	syntax.ErrMissingBracket:        "missing terminating ] for character class",
	syntax.ErrMissingRepeatArgument: "quantifier does not follow a repeatable item",
	syntax.ErrInvalidCharRange:      "range out of order in character class",
	syntax.ErrTrailingBackslash:     "\\ at end of pattern",
	syntax.ErrInvalidRepeatSize:     "number too big in {} quantifier",
}

// place finds the position that PCRE2 would report: after the part that it could not read.
func place(pattern string, e *syntax.Error) int {
	switch e.Code {
	case syntax.ErrUnexpectedParen:
		return unmatchedParen(pattern)
	case syntax.ErrMissingRepeatArgument:
		if at := strings.Index(pattern, e.Expr); at >= 0 && len(e.Expr) > 0 {
			return at
		}
	}
	return -1
}

// unmatchedParen is the place of the first ")" that closes nothing.
func unmatchedParen(pattern string) int {
	depth := 0
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '[':
			i = classEnd(pattern, i) - 1
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return i
			}
		}
	}
	return -1
}
