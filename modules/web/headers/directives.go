// Package headers is add_header, add_trailer and expires: it adds headers to responses.
package headers

import (
	"fmt"
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
		Directives: []conf.Directive{
			{
				Name: "add_header", Syntax: "<name> <value> [always]", Params: alwaysParams, In: places, Repeat: true,
				Doc: "Adds a header field to responses with status 200, 201, 204, 206, 301, 302, 303, 304, 307 or " +
					"308, or to all with `always`. A field with an empty value is not added. A block with " +
					"`add_header` inherits none from the outer block.",
				Set: conf.List(func(s *Settings) *[]Header { return &s.Headers }, parseHeader),
			}, {
				Name: "add_trailer", Syntax: "<name> <value> [always]", Params: alwaysParams, In: places, Repeat: true,
				Doc: "Adds a trailer field where the protocol allows it; an HTTP/1.1 response is then chunked. The " +
					"value is evaluated at the end of the body. Statuses, `always`, empty values and inheritance are " +
					"as in `add_header`.",
				Set: conf.List(func(s *Settings) *[]Header { return &s.Trailers }, parseHeader),
			}, {
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
	Headers  []Header
	Trailers []Header
	Expires  Expires
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
