package conf

import "strings"

// maxTokenBytes is nginx's NGX_CONF_BUFFER: a token and its surroundings must fit, so that a missing quote is found
// near its place.
const maxTokenBytes = 4096

// ending is the end of a sequence of words.
type ending int

const (
	endSimple     ending = iota // ";"
	endBlockStart               // "{"
	endBlockDone                // "}"
	endOfText
)

// lexer splits one file into words by the rules of ngx_conf_read_token, to the byte.
type lexer struct {
	text   string
	file   string
	pos    int
	line   int
	window int // how far nginx's 4 KB buffer would be filled
}

func newLexer(file, text string) *lexer {
	l := &lexer{text: text, file: file, line: 1}
	if file == CommandLine {
		l.window = len(text) // nginx holds the text of -g as a whole
	}
	return l
}

func (l *lexer) problem(what string) *Problem {
	return &Problem{What: what, File: l.file, Line: l.line}
}

// scan is the state of nginx's loop between two bytes of one directive.
type scan struct {
	words     []string
	start     int  // first byte of the word being read
	startLine int  // its line
	between   bool // no word has begun
	comment   bool // until the end of the line
	escaped   bool // the next byte is literal
	variable  bool // after "$": a "{" belongs to the word
	closed    bool // after a closing quote: a space, ";", "{" or ")" must follow
	quote     byte // the open quote, or 0
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// next reads the words of one directive up to its ending.
func (l *lexer) next() ([]string, ending, *Problem) {
	s := scan{between: true, start: l.pos, startLine: l.line}
	for {
		if problem := l.fill(&s); problem != nil {
			return nil, 0, problem
		}
		if l.pos >= len(l.text) {
			return l.atEnd(&s)
		}
		c := l.text[l.pos]
		l.pos++
		if c == '\n' {
			l.line++
			s.comment = false
		}
		switch {
		case s.comment:
			continue
		case s.escaped:
			s.escaped = false
			continue
		}
		if s.closed {
			end, done, problem := l.afterQuote(&s, c)
			if done || problem != nil {
				return s.words, end, problem
			}
			if s.between && isSpace(c) {
				continue
			}
		}
		var end ending
		var done bool
		var problem *Problem
		if s.between {
			end, done, problem = l.begin(&s, c)
		} else {
			end, done = l.within(&s, c)
		}
		if done || problem != nil {
			return s.words, end, problem
		}
	}
}

// fill imitates the refills of nginx's buffer, which detect tokens that are too long.
func (l *lexer) fill(s *scan) *Problem {
	if l.pos < l.window || l.window >= len(l.text) {
		return nil
	}
	if l.pos-s.start >= maxTokenBytes {
		l.line = s.startLine
		if s.quote != 0 {
			return l.problem("too long parameter, probably missing terminating \"" + string(s.quote) + "\" character")
		}
		return l.problem("too long parameter \"" + l.text[s.start:s.start+10] + "...\" started")
	}
	l.window = min(s.start+maxTokenBytes, len(l.text))
	return nil
}

// tooEarly is the problem of an unexpected end of the text.
func (l *lexer) tooEarly(what string) *Problem {
	p := l.problem(what)
	p.early = true
	return p
}

func (l *lexer) atEnd(s *scan) ([]string, ending, *Problem) {
	switch {
	case len(s.words) == 0 && s.between:
		return nil, endOfText, nil
	case l.file == CommandLine:
		return nil, 0, l.tooEarly("unexpected end of parameter, expecting \";\"")
	}
	return nil, 0, l.tooEarly("unexpected end of file, expecting \";\" or \"}\"")
}

// afterQuote checks the byte after a closing quote.
func (l *lexer) afterQuote(s *scan, c byte) (end ending, done bool, problem *Problem) {
	switch {
	case isSpace(c), c == ')':
		s.between, s.closed = true, false
		return 0, false, nil
	case c == ';':
		return endSimple, true, nil
	case c == '{':
		return endBlockStart, true, nil
	}
	return 0, false, l.problem("unexpected \"" + string([]byte{c}) + "\"")
}

// begin handles a byte between words.
func (l *lexer) begin(s *scan, c byte) (end ending, done bool, problem *Problem) {
	s.start, s.startLine = l.pos-1, l.line
	if isSpace(c) {
		return 0, false, nil
	}
	switch c {
	case ';', '{':
		if len(s.words) == 0 {
			return 0, false, l.problem("unexpected \"" + string([]byte{c}) + "\"")
		}
		if c == '{' {
			return endBlockStart, true, nil
		}
		return endSimple, true, nil
	case '}':
		if len(s.words) != 0 {
			return 0, false, l.problem("unexpected \"}\"")
		}
		return endBlockDone, true, nil
	case '#':
		s.comment = true
		return 0, false, nil
	case '\\':
		s.escaped = true
	case '"', '\'':
		s.start++
		s.quote = c
	case '$':
		s.variable = true
	}
	s.between = false
	return 0, false, nil
}

// within handles a byte inside a word.
func (l *lexer) within(s *scan, c byte) (end ending, done bool) {
	if c == '{' && s.variable {
		return 0, false
	}
	s.variable = c == '$'
	switch {
	case c == '\\':
		s.escaped = true
		return 0, false
	case c == '$':
		return 0, false
	case s.quote != 0:
		if c != s.quote {
			return 0, false
		}
		s.quote, s.closed = 0, true
		s.words = append(s.words, unescape(l.text[s.start:l.pos-1]))
		return 0, false
	case isSpace(c), c == ';', c == '{':
		s.between = true
		s.words = append(s.words, unescape(l.text[s.start:l.pos-1]))
	}
	switch c {
	case ';':
		return endSimple, true
	case '{':
		return endBlockStart, true
	}
	return 0, false
}

// unescape replaces the escapes that nginx knows. Other backslashes stay, because regular expressions need them.
func unescape(word string) string {
	if strings.IndexByte(word, '\\') < 0 {
		return word
	}
	out := make([]byte, 0, len(word))
	for i := 0; i < len(word); i++ {
		c := word[i]
		if c == '\\' && i+1 < len(word) {
			switch next := word[i+1]; next {
			case '"', '\'', '\\':
				c = next
				i++
			case 't':
				c = '\t'
				i++
			case 'r':
				c = '\r'
				i++
			case 'n':
				c = '\n'
				i++
			}
		}
		out = append(out, c)
	}
	return string(out)
}
