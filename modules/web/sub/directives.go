// Package sub is sub_filter: texts in responses are replaced.
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
		Doc:   "Replaces texts in the bodies of responses.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "sub_filter", Syntax: "<string> <replacement>", In: places, Repeat: true,
				Doc: "Adds a string to look for, without regard to case, and what takes its place. Both may have variables. Where several strings " +
					"begin at one place, the one that is declared first counts.",
				Set: conf.List(func(s *Settings) *[]pair { return &s.pairs }, parsePair),
			}, {
				Name: "sub_filter_types", Syntax: "<type>...", In: places, Repeat: true, DefaultDoc: "`text/html`",
				Doc: "Sets the media types of the responses to look at, besides text/html; `*` means all.",
				Set: web.SetMediaTypes(func(s *Settings) *web.MediaTypes { return &s.types }),
			}, {
				Name: "sub_filter_once", Syntax: "on | off", Default: "on", In: places,
				Doc: "Replaces each string once, or wherever it is found.",
				Set: conf.Field(func(s *Settings) *bool { return &s.once }, conf.Flag),
			}, {
				Name: "sub_filter_last_modified", Syntax: "on | off", Default: "off", In: places,
				Doc: "Keeps `Last-Modified`, and `ETag` as a weak one; else both are removed.",
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
