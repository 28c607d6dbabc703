// Package addition is add_before_body and add_after_body: it puts the responses of other locations around a response.
package addition

import (
	"starling/conf"
	"starling/web"
	"starling/web/h1"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "addition",
		Doc:   "Adds the responses of other locations before and after a response.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "add_before_body", Syntax: "<uri>", In: places,
				Doc: "Adds the response to a subrequest before the body; an empty URI adds nothing.",
				Set: conf.Field(func(s *Settings) *[]byte { return &s.before }, parseURI),
			}, {
				Name: "add_after_body", Syntax: "<uri>", In: places,
				Doc: "Adds the response to a subrequest after the body; an empty URI adds nothing.",
				Set: conf.Field(func(s *Settings) *[]byte { return &s.after }, parseURI),
			}, {
				Name: "addition_types", Syntax: "<type>...", In: places, Repeat: true, DefaultDoc: "`text/html`",
				Doc: "Sets the MIME types of responses to add to, in addition to text/html; `*` matches all.",
				Set: web.SetMediaTypes(func(s *Settings) *web.MediaTypes { return &s.types }),
			},
		},
	},
	Filters: []web.FilterHook{{Build: build}},
}

// Settings of one block.
type Settings struct {
	before, after []byte // URIs of the same server
	types         web.MediaTypes
}

func parseURI(word string) ([]byte, error) { return []byte(word), nil }

func build(b *web.Block) (web.Filter, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if len(s.before)+len(s.after) == 0 {
		return nil, nil
	}
	return s.filter, nil
}

// filter is ngx_http_addition_header_filter.
func (s *Settings) filter(r *web.Request) web.Body {
	out := &r.Out
	if r.StatusFor(out.Status) != 200 || r.Parent() != nil || !s.types.Has(out.ContentType) {
		return nil
	}
	out.ContentLength, out.Ranges = -1, web.NoRanges
	r.RemoveHeader(h1.HeaderAcceptRanges)
	r.WeakenETags()
	add(r, s.before, (*web.Sub).Prepend)
	add(r, s.after, (*web.Sub).Append)
	return nil
}

// add adds a part; one that cannot be made is logged and missing, as in nginx.
func add(r *web.Request, uri []byte, place func(*web.Sub)) {
	if len(uri) == 0 {
		return
	}
	// As in nginx, a question mark is part of the path.
	if part, err := r.Subrequest(web.Subrequest{Path: uri, Part: true, WithBody: true}); err == nil {
		place(part)
	}
}
