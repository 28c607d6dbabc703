package rewrite

import (
	"bytes"

	"starling/conf"
	"starling/nginx/escape"
	"starling/vars"
	"starling/web"
)

// text is a template whose captures are escaped under nginx's conditions.
type text struct {
	vars.Template[*web.Request]
	pieces []piece
}

// piece is a literal or a variable.
type piece struct {
	literal string
	use     *vars.Use[*web.Request]
	capture bool
}

// compileText compiles a word of a command.
func compileText(a *conf.Args, word string) (text, error) {
	template, err := web.Side.Compile(a, word)
	if err != nil {
		return text{}, err
	}
	t := text{Template: template}
	for literal, use := range template.Pieces {
		p := piece{literal: literal, use: use}
		if use != nil {
			name := use.Name()
			p.capture = len(name) == 1 && name[0] >= '1' && name[0] <= '9'
		}
		t.pieces = append(t.pieces, p)
	}
	return t, nil
}

// expand returns the value of the text. With quote it escapes captures for use in a query, but only if the client
// itself had escaped something in the path; otherwise they stay as sent.
func (t *text) expand(r *web.Request, quote bool) []byte {
	if !quote || !t.hasCapture() || !sentEscaped(r) {
		return r.Expand(&t.Template)
	}
	var out []byte
	for i := range t.pieces {
		p := &t.pieces[i]
		if p.use == nil {
			out = append(out, p.literal...)
			continue
		}
		v, _ := r.Value(p.use)
		if p.capture {
			out = escape.Append(out, v, escape.Args)
		} else {
			out = append(out, v...)
		}
	}
	return out
}

func (t *text) hasCapture() bool {
	for i := range t.pieces {
		if t.pieces[i].capture {
			return true
		}
	}
	return false
}

// sentEscaped reports whether the path of the request, as sent, has an escape or a plus sign.
func sentEscaped(r *web.Request) bool {
	path, _, _ := bytes.Cut(r.Target, []byte{'?'})
	return bytes.IndexByte(path, '%') >= 0 || bytes.IndexByte(path, '+') >= 0
}
