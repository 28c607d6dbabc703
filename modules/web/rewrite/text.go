package rewrite

import (
	"bytes"
	"strings"

	"starling/conf"
	"starling/lib/escape"
	"starling/vars"
	"starling/web"
)

// text is a template whose captures are escaped under nginx's conditions, and whose "?" begins the query.
type text struct {
	pieces []piece
	// hasQuery says that a "?" was written in it.
	hasQuery bool
}

// piece is a literal, a variable, or the mark where the query begins.
type piece struct {
	literal string
	use     *vars.Use[*web.Request]
	capture bool
	query   bool
}

// compileText compiles a word of a command. With query its first "?" separates path and query.
func compileText(a *conf.Args, word string, query bool) (text, error) {
	template, err := web.CompileTemplate(a, word)
	if err != nil {
		return text{}, err
	}
	var t text
	for literal, use := range template.Parts {
		if use != nil {
			name := use.Name()
			t.pieces = append(t.pieces, piece{use: use, capture: len(name) == 1 && name[0] >= '1' && name[0] <= '9'})
			continue
		}
		before, after, found := strings.Cut(literal, "?")
		first := found && !t.hasQuery
		t.hasQuery = t.hasQuery || found
		if query && first {
			t.pieces = append(t.pieces, piece{literal: before}, piece{query: true}, piece{literal: after})
			continue
		}
		t.pieces = append(t.pieces, piece{literal: literal})
	}
	return t, nil
}

// append adds the text to dst. Captures are escaped as part of a query where quote is set, and always behind the "?" of the
// text, but only if the client itself had escaped something: else they are as they were sent.
// mark is the place in dst where the query began, or -1.
func (t *text) append(dst []byte, r *web.Request, quote bool) (out []byte, mark int) {
	mark = -1
	for i := range t.pieces {
		switch p := &t.pieces[i]; {
		case p.query:
			mark, quote = len(dst), true
		case p.use == nil:
			dst = append(dst, p.literal...)
		default:
			from := len(dst)
			dst, _ = p.use.Append(dst, r)
			if p.capture && quote && sentEscaped(r) {
				dst = escapeTail(dst, from)
			}
		}
	}
	return dst, mark
}

// sentEscaped tells whether the path of the request, as sent, holds an escape or a plus sign.
func sentEscaped(r *web.Request) bool {
	path, _, _ := bytes.Cut(r.Target, []byte{'?'})
	return bytes.IndexByte(path, '%') >= 0 || bytes.IndexByte(path, '+') >= 0
}

func escapeTail(dst []byte, from int) []byte {
	if !escape.Needed(dst[from:], escape.Args) {
		return dst
	}
	raw := bytes.Clone(dst[from:])
	return escape.Append(dst[:from], raw, escape.Args)
}
