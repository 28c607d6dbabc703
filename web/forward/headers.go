package forward

import (
	"strings"

	"starling/conf"
	"starling/nginx/escape"
	"starling/vars"
	"starling/web"
	"starling/web/h1"
)

// SetHeader is one PREFIX_set_header.
type SetHeader struct {
	Name  string
	Value vars.Template[*web.Request]
}

// SetHeaderDirective declares PREFIX_set_header, for families whose requests have headers.
func SetHeaderDirective[S any](f *Family, place func(*S) *[]SetHeader) conf.Directive {
	return conf.Directive{
		Name: f.Prefix + "_set_header", Syntax: "<field> <value>", In: places, Repeat: true,
		Doc: "Sets a header field of the proxied request, or removes it if the value is empty. A block with this " +
			"directive inherits none from the outer block.",
		Set: conf.List(place, readSetHeader),
	}
}

func readSetHeader(a *conf.Args) (SetHeader, error) {
	t, err := web.Side.Compile(a, a.Words[1])
	return SetHeader{a.Words[0], t}, err
}

// HeadPlan describes how the head of a request is built from PREFIX_set_header and the client's headers.
type HeadPlan struct {
	// Host is the value of a PREFIX_set_header Host, nil if there is none.
	Host *vars.Template[*web.Request]
	// Set are the other headers with a value, in order.
	Set []SetHeader

	named    []string // in any PREFIX_set_header
	replaced NameSet
}

// NewHeadPlan makes a plan. Client headers named in never are not passed.
func NewHeadPlan(set []SetHeader, never []string) HeadPlan {
	var p HeadPlan
	for _, name := range never {
		p.replaced.Add(name)
	}
	for i := range set {
		h := &set[i]
		p.replaced.Add(h.Name)
		p.named = append(p.named, h.Name)
		text, literal := h.Value.Literal()
		switch {
		case strings.EqualFold(h.Name, "Host"):
			p.Host = &h.Value
			continue
		case strings.EqualFold(h.Name, "Transfer-Encoding"):
			continue // the body gets a framing of its own
		}
		if !literal || text != "" {
			p.Set = append(p.Set, *h)
		}
	}
	return p
}

// Names reports whether a PREFIX_set_header has that name, even with an empty value.
func (p *HeadPlan) Names(name string) bool {
	for _, named := range p.named {
		if strings.EqualFold(named, name) {
			return true
		}
	}
	return false
}

// Passes reports whether the request has that header of the client.
func (p *HeadPlan) Passes(h *h1.Header) bool { return !p.replaced.Has(h) }

// AppendValue appends the value of a header; no variable can end it.
func AppendValue(dst []byte, t *vars.Template[*web.Request], r *web.Request) []byte {
	from := len(dst)
	dst = t.Append(dst, r)
	for i, c := range dst[from:] {
		if c == '\r' || c == '\n' || c == 0 {
			dst[from+i] = ' '
		}
	}
	return dst
}

// AppendTarget appends the path and query of the request, as the client sent them unless they were changed.
func AppendTarget(dst []byte, r *web.Request) []byte {
	if r.TargetStands() {
		return append(dst, r.Target...)
	}
	dst = escape.Append(dst, r.Path, escape.Path)
	if len(r.Query) > 0 {
		dst = append(append(dst, '?'), r.Query...)
	}
	return dst
}
