// Package headers is add_header, add_trailer and expires: it adds headers to responses.
package headers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"starling/conf"
	"starling/nginx/units"
	"starling/vars"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location | conf.LocationIf

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "headers",
		Doc:   "Adds header fields and trailers to responses.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Enter: enter,
		Directives: []conf.Directive{
			{
				Name: "add_header", Syntax: "<name> <value> [always]", Params: alwaysParams, In: places, Repeat: true,
				Doc: "Adds a header field to responses with status 200, 201, 204, 206, 301, 302, 303, 304, 307 or " +
					"308, or to all with `always`. A field with an empty value is not added. A block with " +
					"`add_header` inherits none from the outer block, unless `add_header_inherit merge` is set.",
				Set: conf.List(func(s *Settings) *[]Header { return &s.Headers.own }, parseHeader),
			}, {
				Name: "add_trailer", Syntax: "<name> <value> [always]", Params: alwaysParams, In: places, Repeat: true,
				Doc: "Adds a trailer field where the protocol allows it; an HTTP/1.1 response is then chunked. The " +
					"value is evaluated at the end of the body. Statuses, `always`, empty values and inheritance are " +
					"as in `add_header`.",
				Set: conf.List(func(s *Settings) *[]Header { return &s.Trailers.own }, parseHeader),
			},
			inheritance("add_header", func(s *Settings) *inherit { return &s.Headers.inherit }),
			inheritance("add_trailer", func(s *Settings) *inherit { return &s.Trailers.inherit }),
			{
				Name: "expires", Syntax: "<time>|epoch|max|off\nmodified <time>", Default: "off", In: places,
				Doc: "Sets `Expires` and `Cache-Control` to a time relative to now or to the file's modification " +
					"(`modified`), or to a time of day (`@15h`).",
				Set: conf.Raw(setExpires),
			},
		},
	},
	Filters: []web.FilterHook{{Build: build}},
	Variables: []vars.Variable[*web.Request]{
		{
			Name:   "sent_trailer_",
			Prefix: true,
			Doc:    "The response trailer of that name, joined by commas.",
			Append: appendTrailer,
		},
	},
}

// Settings of one block.
type Settings struct {
	Headers  List
	Trailers List
	Expires  Expires
}

// List are the lines of add_header or add_trailer of a block, and those of the outer blocks.
type List struct {
	own, outer []Header
	inherit    inherit
}

// inherit is the value of add_header_inherit and add_trailer_inherit, which blocks inherit themselves.
type inherit int

const (
	inheritIfNone inherit = iota // on
	inheritNone                  // off
	inheritAll                   // merge
)

var inheritWords = map[string]inherit{"on": inheritIfNone, "off": inheritNone, "merge": inheritAll}

// inheritance declares the directive with the suffix _inherit of one that adds lines.
func inheritance(name string, place func(*Settings) *inherit) conf.Directive {
	return conf.Directive{
		Name: name + "_inherit", Syntax: "on | off | merge", Default: "on", In: places,
		Doc: "Sets what a block inherits from the `" + name + "` lines of outer blocks: all if it has none itself " +
			"(`on`), none (`off`), or all, after its own (`merge`). Blocks inherit this setting too.",
		Set: conf.Field(place, conf.OneOf(inheritWords)),
	}
}

// lines are what a block adds (ngx_http_headers_merge_conf).
func (l *List) lines() []Header {
	switch {
	case l.inherit == inheritNone:
		return l.own
	case len(l.own) == 0:
		return l.outer
	case l.inherit == inheritAll:
		return slices.Concat(l.own, l.outer)
	}
	return l.own
}

// enter makes the lines of a block those of the outer block for one inside.
func enter(settings any, _ conf.Context) {
	s := settings.(*Settings)
	for _, l := range []*List{&s.Headers, &s.Trailers} {
		l.own, l.outer = nil, l.lines()
	}
}

// Header is one add_header.
type Header struct {
	name   []byte
	value  vars.Template[*web.Request]
	always bool
	// replaces: Last-Modified and ETag are set, not added; an empty value removes them.
	replaces bool
}

func parseHeader(a *conf.Args) (Header, error) {
	value, err := web.Side.Compile(a, a.Words[1])
	name := a.Words[0]
	return Header{
		name: []byte(name), value: value, always: a.Has("always"),
		replaces: strings.EqualFold(name, "Last-Modified") || strings.EqualFold(name, "ETag"),
	}, err
}

// expiry is the kind of an expires directive.
type expiry int

const (
	expiresOff expiry = iota
	expiresEpoch
	expiresMax
	expiresAccess
	expiresModified
	expiresDaily
)

// Expires is the argument of `expires`, or how to compute it for each request.
type Expires struct {
	kind  expiry
	after time.Duration
	// value is evaluated for each request if it has variables.
	value    vars.Template[*web.Request]
	variable bool
}

func setExpires(s *Settings, a *conf.Args) error {
	modified := len(a.Words) == 2
	text := a.Words[len(a.Words)-1]
	t, err := web.Side.Compile(a, text)
	if err != nil {
		return err
	}
	e := Expires{kind: expiresAccess, value: t}
	if modified {
		e.kind = expiresModified
	}
	if _, literal := t.Literal(); !literal {
		e.variable = true
		s.Expires = e
		return nil
	}
	s.Expires, err = parseExpires(text, e.kind)
	return err
}

// parseExpires reads a time as ngx_http_parse_expires does; kind is access or modified.
func parseExpires(text string, kind expiry) (Expires, error) {
	if kind != expiresModified {
		switch text {
		case "epoch":
			return Expires{kind: expiresEpoch}, nil
		case "max":
			return Expires{kind: expiresMax}, nil
		case "off":
			return Expires{kind: expiresOff}, nil
		}
	}
	e := Expires{kind: kind}
	rest, daily := strings.CutPrefix(text, "@")
	if daily {
		if kind == expiresModified {
			return e, fmt.Errorf("\"expires\" directive daily time cannot be used with \"modified\" parameter")
		}
		e.kind = expiresDaily
	}
	minus := false
	if !daily {
		rest = strings.TrimPrefix(rest, "+")
		if cut, found := strings.CutPrefix(rest, "-"); found && rest == text {
			rest, minus = cut, true
		}
	}
	var err error
	if e.after, err = units.Seconds(rest); err != nil {
		return e, conf.InvalidValue
	}
	if daily && e.after > 24*time.Hour {
		return e, fmt.Errorf("\"expires\" directive daily time value must be less than 24 hours")
	}
	if minus {
		e.after = -e.after
	}
	return e, nil
}

// alwaysParams explains the parameters of add_header and add_trailer.
var alwaysParams = map[string]string{
	"always": "Adds the field regardless of the status; otherwise only with 200, 201, 204, 206, 301, 302, 303, 304, " +
		"307 and 308.",
}
