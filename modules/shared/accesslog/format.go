package accesslog

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/nginx/logescape"
	"starling/plan"
	"starling/side"
	"starling/vars"
)

// format is one log_format.
type format[C side.Subject] struct {
	escape logescape.Style
	pieces []piece[C]
}

// piece is a literal or a variable.
type piece[C side.Subject] struct {
	literal string
	use     *vars.Use[C]
}

// formats are those of one side of one configuration, by name in lower case.
type formats[C side.Subject] struct{ byName map[string]*format[C] }

// combinedName is the format that needs no declaration.
const combinedName = "combined"

// jsonName is the built-in JSON format, unless a log_format has that name. builtInJSON, a name that no directive can
// write, is its key: a log_format of the name may follow.
const (
	jsonName    = "json"
	builtInJSON = "json of starling"
)

// declareFormat is log_format.
func (s *Options[C]) declareFormat(_ any, a *conf.Args) error {
	p, name := side.PlanOf(a), strings.ToLower(a.Words[0])
	if name == combinedName && s.Combined != "" || plan.Part[formats[C]](p).byName[name] != nil {
		return fmt.Errorf("duplicate \"log_format\" name \"%s\"", a.Words[0])
	}
	escape, text := logescape.Default, a.Words[1:]
	if word, given := strings.CutPrefix(text[0], "escape="); given {
		style, known := logescape.Styles[word]
		if !known {
			return fmt.Errorf("unknown log format escaping \"%s\"", word)
		}
		escape, text = style, text[1:]
	}
	_, err := s.addFormat(p, name, escape, text, a.Node)
	return err
}

// addFormat makes a format of its parts. Each is compiled alone: the name of a variable ends with its part.
func (s *Options[C]) addFormat(
	p *plan.Plan,
	name string,
	escape logescape.Style,
	parts []string,
	node *conf.Node,
) (*format[C], error) {
	f := &format[C]{escape: escape}
	for _, part := range parts {
		template, err := s.Side.Variables(p).Compile(part, node)
		if err != nil {
			return nil, err
		}
		for literal, use := range template.Pieces {
			f.pieces = append(f.pieces, piece[C]{literal, use})
		}
	}
	all := plan.Part[formats[C]](p)
	if all.byName == nil {
		all.byName = map[string]*format[C]{}
	}
	all.byName[name] = f
	return f, nil
}

// formatOf is the format that an access_log names, the combined one by default.
func (s *Options[C]) formatOf(a *conf.Args) (*format[C], error) {
	p := side.PlanOf(a)
	if !a.Has("format") {
		if s.Combined == "" {
			return nil, fmt.Errorf("log format is not specified")
		}
		return s.combined(p, a.Node)
	}
	name := strings.ToLower(a.Value("format"))
	if f := plan.Part[formats[C]](p).byName[name]; f != nil {
		return f, nil
	}
	if name == combinedName && s.Combined != "" {
		return s.combined(p, a.Node)
	}
	if name == jsonName {
		return s.builtIn(p, builtInJSON, logescape.JSON, s.JSON, a.Node)
	}
	return nil, fmt.Errorf("unknown log format \"%s\"", a.Value("format"))
}

// builtIn formats are created on first use.
func (s *Options[C]) builtIn(
	p *plan.Plan,
	name string,
	escape logescape.Style,
	text string,
	node *conf.Node,
) (*format[C], error) {
	if f := plan.Part[formats[C]](p).byName[name]; f != nil {
		return f, nil
	}
	return s.addFormat(p, name, escape, []string{text}, node)
}

// combined is created on first use.
func (s *Options[C]) combined(p *plan.Plan, node *conf.Node) (*format[C], error) {
	return s.builtIn(p, combinedName, logescape.Default, s.Combined, node)
}

// append adds the line of c, without the line end, to dst.
func (f *format[C]) append(dst []byte, c C) []byte {
	for i := range f.pieces {
		p := &f.pieces[i]
		if p.use == nil {
			dst = append(dst, p.literal...)
			continue
		}
		from := len(dst)
		var found bool
		dst, found = p.use.Append(dst, c)
		switch end := len(dst); {
		case !found:
			dst = append(dst[:from], f.escape.Missing()...)
		case f.escape.Needed(dst[from:]):
			// The escaped form is written after the value and then replaces it, so nothing is allocated.
			dst = f.escape.Append(dst, dst[from:end])
			dst = dst[:from+copy(dst[from:], dst[end:])]
		}
	}
	return dst
}
