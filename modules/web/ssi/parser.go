package ssi

import (
	"bytes"
	"fmt"
)

// opening begins a command.
const opening = "<!--#"

// step is what the parser expects next.
type step int

const (
	inText     step = iota
	inOpening       // opened bytes of opening were seen
	preCommand      // blanks before the name of the command
	inCommand
	preParameter
	inParameter
	preEqual
	preValue
	inValue
	inEscape // the byte after a backslash in a value
	postValue
	inEnd   // ended bytes of "-->" were seen
	inError // a command that is not understood, up to "-->"
	inErrorEnd
)

// parameter is one of a command. The value still has its escapes and variables.
type parameter struct{ name, value []byte }

// command is what the parser has read.
type command struct {
	name       []byte
	parameters []parameter
}

// parser finds the commands in pieces of text. Its memory is bounded by the lengths of names and values and the number
// of parameters.
type parser struct {
	valueBytes int
	step       step
	opened     int // of opening, in inOpening
	ended      int // of "-->"
	quote      byte
	command    command
	fault      error // of the command being read
}

// event is what next found.
type event int

const (
	foundNothing event = iota // all is consumed
	foundText
	foundCommand
	foundError
)

// next consumes some of p. text is the beginning of a command that was none, or a part of p.
func (x *parser) next(p []byte) (found event, text, rest []byte) {
	for len(p) > 0 {
		switch x.step {
		case inText:
			at := bytes.IndexByte(p, '<')
			if at < 0 {
				return foundText, p, nil
			}
			x.step, x.opened = inOpening, 1
			if at > 0 {
				return foundText, p[:at], p[at+1:]
			}
			p = p[1:]
		case inOpening:
			if p[0] == opening[x.opened] {
				p = p[1:]
				if x.opened++; x.opened == len(opening) {
					x.begin()
				}
				continue
			}
			seen := x.opened
			x.step = inText
			return foundText, []byte(opening[:seen]), p
		default:
			c := p[0]
			p = p[1:]
			if x.take(c) {
				x.step = inText
				if x.fault != nil {
					return foundError, nil, p
				}
				return foundCommand, nil, p
			}
		}
	}
	return foundNothing, nil, nil
}

// end returns what of a possible command is text after all when the page ends.
func (x *parser) end() []byte {
	if x.step == inOpening {
		return []byte(opening[:x.opened])
	}
	return nil
}

func (x *parser) begin() {
	x.step, x.ended, x.fault = preCommand, 0, nil
	x.command = command{}
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// fail skips the rest of the command.
func (x *parser) fail(c byte, format string, args ...any) {
	x.fault = fmt.Errorf(format, args...)
	x.step, x.ended = inError, 0
	if c == '-' {
		x.step, x.ended = inErrorEnd, 1
	}
}

// take consumes one byte of a command; true ends it.
func (x *parser) take(c byte) (done bool) {
	switch x.step {
	case preCommand:
		if !blank(c) {
			x.command.name, x.step = append(x.command.name, c), inCommand
		}
	case inCommand:
		x.takeName(c)
	case preParameter, inParameter, preEqual:
		x.takeParameter(c)
	case preValue, inValue, inEscape, postValue:
		x.takeValue(c)
	case inEnd:
		return x.takeEnd(c)
	case inError:
		if c == '-' {
			x.step, x.ended = inErrorEnd, 1
		}
	case inErrorEnd:
		switch {
		case c == '-' && x.ended == 1:
			x.ended = 2
		case c == '>' && x.ended == 2:
			return true
		case c != '-':
			x.step = inError
		}
	}
	return false
}

func (x *parser) takeEnd(c byte) (done bool) {
	switch {
	case x.ended == 1 && c == '-':
		x.ended = 2
	case x.ended == 2 && c == '>':
		return true
	default:
		x.fail(0, "unexpected \"%c\" symbol in \"%s\" SSI command", c, x.command.name)
	}
	return false
}

func (x *parser) takeName(c byte) {
	switch {
	case blank(c):
		x.step = preParameter
	case c == '-':
		x.step, x.ended = inEnd, 1
	case len(x.command.name) == maxCommandBytes:
		x.fail(0, "the \"%s%c...\" SSI command is too long", x.command.name, c)
	default:
		x.command.name = append(x.command.name, c)
	}
}

// last is the parameter being read.
func (x *parser) last() *parameter { return &x.command.parameters[len(x.command.parameters)-1] }

func (x *parser) takeParameter(c byte) {
	switch {
	case x.step == preParameter && blank(c), x.step == preEqual && blank(c):
	case x.step == preParameter && c == '-':
		x.step, x.ended = inEnd, 1
	case x.step == preParameter:
		if len(x.command.parameters) == maxParameters {
			x.fail(0, "too many SSI command parameters: \"%s\"", x.command.name)
			return
		}
		x.command.parameters = append(x.command.parameters, parameter{name: []byte{c}})
		x.step = inParameter
	case c == '=':
		x.step = preValue
	case blank(c):
		x.step = preEqual
	case c == '-', x.step == preEqual:
		x.fail(c, "unexpected \"%c\" symbol after \"%s\" parameter in \"%s\" SSI command", c, x.last().name,
			x.command.name)
	case len(x.last().name) == maxNameBytes:
		x.fail(0, "too long \"%s%c...\" parameter in \"%s\" SSI command", x.last().name, c, x.command.name)
	default:
		x.last().name = append(x.last().name, c)
	}
}

func (x *parser) takeValue(c byte) {
	switch {
	case x.step == preValue && blank(c):
	case x.step == preValue && (c == '"' || c == '\''):
		x.quote, x.step = c, inValue
	case x.step == preValue:
		x.fail(c, "unexpected \"%c\" symbol before value of \"%s\" parameter in \"%s\" SSI command", c,
			x.last().name, x.command.name)
	case x.step == postValue && blank(c):
		x.step = preParameter
	case x.step == postValue && c == '-':
		x.step, x.ended = inEnd, 1
	case x.step == postValue:
		x.fail(0, "unexpected \"%c\" symbol after \"%s\" value of \"%s\" parameter in \"%s\" SSI command", c,
			x.last().value, x.last().name, x.command.name)
	case x.step == inValue && c == x.quote:
		x.step = postValue
	default:
		switch {
		case x.step == inEscape:
			x.step = inValue
		case c == '\\':
			x.step = inEscape
		}
		if p := x.last(); len(p.value) < x.valueBytes {
			p.value = append(p.value, c)
			return
		}
		x.fail(0, "too long \"%s%c...\" value of \"%s\" parameter in \"%s\" SSI command", x.last().value, c,
			x.last().name, x.command.name)
	}
}
