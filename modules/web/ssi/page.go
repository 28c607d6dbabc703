package ssi

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"starling/nginx/regex"
	"starling/side"
	"starling/web"
)

// page is what the commands in the response to one client share, whatever part they are in.
type page struct {
	mu        sync.Mutex // parts are made while their parent continues
	variables map[string][]byte
	blocks    []*block
	captures  regex.Captures
	used      int          // bytes of variables and blocks
	atOnce    atomic.Int32 // parts that are postponed or made
}

// mayPostpone reports whether one more part can be made together with others, and counts it.
func (p *page) mayPostpone() bool {
	if p.atOnce.Add(1) > maxAtOnce {
		p.atOnce.Add(-1)
		return false
	}
	return true
}

// block is the text of a block command, which another command may send.
type block struct {
	name string
	text []byte
}

// state is what one request has: the page, and the format of its dates.
type state struct {
	page       *page
	timeFormat []byte
}

// stateOf returns the state of a request; a new page begins where no command made the request.
func stateOf(r *web.Request) *state {
	if s := side.DataOf[state](r); s != nil {
		return s
	}
	s := &state{page: &page{variables: map[string][]byte{}}}
	r.Slot(side.SlotOf[state](&web.Side, r.Plan())).Data = s
	return s
}

// share makes a subrequest a part of the page.
func (p *page) share(sub *web.Sub) {
	r := sub.Request()
	r.Slot(side.SlotOf[state](&web.Side, r.Plan())).Data = &state{page: p}
}

var errPageTooLarge = fmt.Errorf("variables and blocks of SSI commands need more than %d bytes", maxPageBytes)

// entryBytes is what a variable or a block takes beside its name and text: otherwise a page could have any number of
// blocks without a name.
const entryBytes = 64

// grow counts the bytes of variables and blocks. Called with mu held.
func (p *page) grow(n int) error {
	if p.used+n > maxPageBytes {
		return errPageTooLarge
	}
	p.used += n
	return nil
}

// set sets a variable.
func (p *page) set(name string, value []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.grow(entryBytes + len(name) + len(value)); err != nil {
		return err
	}
	p.variables[name] = bytes.Clone(value)
	return nil
}

// get returns a variable that a command has set, or a capture of the last expression, "0" to "9".
func (p *page) get(name string) (value []byte, found bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(name) == 1 && name[0] >= '0' && name[0] <= '9' {
		if value, found = p.captures.Group(int(name[0] - '0')); found {
			return value, true
		}
	}
	value, found = p.variables[name]
	return value, found
}

// begin begins a block.
func (p *page) begin(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.grow(entryBytes + len(name)); err != nil {
		return err
	}
	p.blocks = append(p.blocks, &block{name: name})
	return nil
}

// extend adds text to the block that was begun last.
func (p *page) extend(text []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.grow(len(text)); err != nil {
		return err
	}
	b := p.blocks[len(p.blocks)-1]
	b.text = append(b.text, text...)
	return nil
}

// find returns the first block of a name.
func (p *page) find(name []byte) (text []byte, found bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.blocks {
		if b.name == string(name) {
			return b.text, true
		}
	}
	return nil, false
}

// variable is the value of a variable of the page, else of the request. As in nginx, a date without a text (timefmt) is
// an error, not a variable without a value.
func variable(r *web.Request, name string) (value []byte, found bool, err error) {
	if value, found = stateOf(r).page.get(name); found {
		return value, true, nil
	}
	known, rest := web.Side.Variables(r.Plan()).Find(name)
	if known == nil {
		return nil, false, nil
	}
	value, found = known.Append(r, rest, nil)
	if !found && (name == dateGMT || name == dateLocal) {
		return nil, false, fmt.Errorf("timefmt \"%s\" makes no date or one that is too long", stateOf(r).timeFormat)
	}
	return value, found, nil
}

var errVariableName = errors.New("invalid variable name")

// evaluate replaces the variables of a value and removes its escapes.
func evaluate(r *web.Request, value []byte) (out []byte, err error) {
	for i := 0; i < len(value); {
		if value[i] == '$' {
			name, length, err := variableName(value[i+1:])
			if err != nil {
				return nil, fmt.Errorf("%w in \"%s\"", err, value)
			}
			text, _, err := variable(r, string(bytes.ToLower(name)))
			if err != nil {
				return nil, err
			}
			if len(out)+len(text) > maxPageBytes { // each variable can be that long, and a value has many
				return nil, errPageTooLarge
			}
			out = append(out, text...)
			i += 1 + length
			continue
		}
		c := value[i]
		i++
		if c != '\\' {
			out = append(out, c)
			continue
		}
		if i == len(value) {
			break
		}
		if c = value[i]; bytes.IndexByte([]byte(`\'"$`), c) < 0 {
			out = append(out, '\\')
		}
		out = append(out, c)
		i++
	}
	return out, nil
}

// variableName reads a name, which can be in braces, and returns how long that is.
func variableName(text []byte) (name []byte, length int, err error) {
	braced := len(text) > 0 && text[0] == '{'
	if braced {
		text = text[1:]
	}
	end := 0
	for end < len(text) && isNameByte(text[end]) {
		end++
	}
	name, length = text[:end], end
	if braced {
		if end == len(text) || text[end] != '}' {
			return nil, 0, fmt.Errorf("the closing bracket in \"%s\" variable is missing", name)
		}
		length += 2
	}
	if end == 0 {
		return nil, 0, errVariableName
	}
	return name, length, nil
}

func isNameByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_'
}
