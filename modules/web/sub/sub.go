package sub

import (
	"sync"

	"starling/conf"
	"starling/nginx/ascii"
	"starling/web"
)

// replacer is one block's filter.
type replacer struct {
	*Settings
	fixed *matcher // nil if strings have variables
	pool  sync.Pool
}

func build(b *web.Block) (web.Filter, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if len(s.pairs) == 0 {
		return nil, nil
	}
	x := &replacer{Settings: s}
	x.pool.New = func() any {
		return &replacing{from: x, done: make([]bool, len(s.pairs)), with: make([][]byte, len(s.pairs))}
	}
	var strings [][]byte
	for i := range s.pairs {
		text, literal := s.pairs[i].search.Literal()
		if !literal {
			return x.filter, nil
		}
		strings = append(strings, ascii.AppendLower(nil, []byte(text)))
	}
	x.fixed = newMatcher(strings)
	return x.filter, nil
}

// filter is ngx_http_sub_header_filter.
func (x *replacer) filter(r *web.Request) web.Body {
	out := &r.Out
	if out.ContentLength == 0 || !x.types.Has(out.ContentType) {
		return nil
	}
	m := x.fixed
	if m == nil {
		if m = x.evaluate(r); m == nil {
			return nil
		}
	}
	out.Ranges = web.NoRanges
	if r.Parent() == nil {
		out.ContentLength = -1
		r.ChangeVersion(x.lastModified)
	}
	s := x.pool.Get().(*replacing)
	s.matcher, s.left = m, 0
	for _, text := range m.strings {
		if text != nil {
			s.left++
		}
	}
	r.AtEnd(giveBack, s, 0)
	return s
}

// evaluate evaluates the strings for one request; nil if all are empty.
func (x *replacer) evaluate(r *web.Request) *matcher {
	strings, some := make([][]byte, len(x.pairs)), false
	for i := range x.pairs {
		if text := r.Expand(&x.pairs[i].search); len(text) > 0 {
			strings[i], some = ascii.AppendLower(nil, text), true
		}
	}
	if !some {
		return nil
	}
	return newMatcher(strings)
}

func giveBack(arg any, _ uint64) {
	s := arg.(*replacing)
	clear(s.done)
	clear(s.with)
	s.matcher, s.held, s.out = nil, s.held[:0], s.out[:0]
	if max(cap(s.held), cap(s.out)) <= maxKeptBytes {
		s.from.pool.Put(s)
	}
}

// maxKeptBytes: a buffer that grew beyond this for one response is not kept for others.
const maxKeptBytes = 128 << 10

// replacing is the body of one response. It holds back at most the length of the longest string less one byte.
type replacing struct {
	from    *replacer
	matcher *matcher
	left    int      // strings that are still looked for
	done    []bool   // by string: replaced, with sub_filter_once
	with    [][]byte // by string: its replacement, once needed
	held    []byte   // the end of the received text, where a match may begin
	out     []byte   // the output of a piece with replacements
}

// Write implements web.Body.
func (s *replacing) Write(next web.Next, p []byte, last bool) error {
	if s.left == 0 { // all were replaced once
		return next.Write(p, last)
	}
	text := p
	if len(s.held) > 0 {
		s.held = append(s.held, p...)
		text = s.held
	}
	s.out = s.out[:0]
	replaced, rest := false, text
	for s.left > 0 {
		index, at := s.matcher.find(rest, last, s.done)
		if index == nothing {
			text, rest = rest[:at], rest[at:]
			break
		}
		replaced = true
		s.out = append(append(s.out, rest[:at]...), s.replacement(next.Request(), index)...)
		rest = rest[at+len(s.matcher.strings[index]):]
		text = rest
	}
	if s.left == 0 {
		text, rest = rest, nil
	}
	if replaced {
		s.out = append(s.out, text...)
		text = s.out
	}
	var err error
	if len(text) > 0 || last {
		err = next.Write(text, last) // before held is overwritten, if text is in it
	}
	s.held = append(s.held[:0], rest...)
	return err
}

// replacement replaces a string.
func (s *replacing) replacement(r *web.Request, index int) []byte {
	if s.with[index] == nil {
		s.with[index] = r.Expand(&s.from.pairs[index].replacement) // not nil: it is memory of the request
	}
	if s.from.once {
		s.done[index] = true
		s.left--
	}
	return s.with[index]
}

// Flush implements web.Body. Held text stays, because it is not known yet whether it is replaced.
func (s *replacing) Flush(next web.Next) error { return next.Flush() }
