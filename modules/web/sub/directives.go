// Package sub is sub_filter: it replaces texts in responses.
package sub

import (
	"fmt"

	"starling/conf"
	"starling/vars"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "sub",
		Doc:   "Replaces strings in response bodies.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "sub_filter", Syntax: "<string> <replacement>", In: places, Repeat: true,
				Doc: "Adds a case-insensitive string to search for and its replacement. Both can contain variables. " +
					"If several strings match at the same position, the first declared one is used.",
				Set: conf.List(func(s *Settings) *[]pair { return &s.pairs }, parsePair),
			}, {
				Name: "sub_filter_types", Syntax: "<type>...", In: places, Repeat: true, DefaultDoc: "`text/html`",
				Doc: "Sets the MIME types of responses to process in addition to text/html; `*` matches all.",
				Set: web.SetMediaTypes(func(s *Settings) *web.MediaTypes { return &s.types }),
			}, {
				Name: "sub_filter_once", Syntax: "on | off", Default: "on", In: places,
				Doc: "Replaces only the first occurrence of each string.",
				Set: conf.Field(func(s *Settings) *bool { return &s.once }, conf.Flag),
			}, {
				Name: "sub_filter_last_modified", Syntax: "on | off", Default: "off", In: places,
				Doc: "Keeps `Last-Modified`, and `ETag` as a weak ETag. Otherwise both are removed.",
				Set: conf.Field(func(s *Settings) *bool { return &s.lastModified }, conf.Flag),
			},
		},
	},
	Filters: []web.FilterHook{{Build: build}},
}

// Settings of one block.
type Settings struct {
	pairs        []pair
	types        web.MediaTypes
	once         bool
	lastModified bool
}

type pair struct{ search, replacement vars.Template[*web.Request] }

func parsePair(a *conf.Args) (p pair, err error) {
	if a.Words[0] == "" {
		return p, fmt.Errorf("empty search pattern")
	}
	if p.search, err = web.Side.Compile(a, a.Words[0]); err != nil {
		return p, err
	}
	p.replacement, err = web.Side.Compile(a, a.Words[1])
	return p, err
}
