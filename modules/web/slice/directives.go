// Package slice is slice: it fetches a response in pieces of one size, each with a subrequest for a range, so that a
// cache holds large files in parts.
package slice

import (
	"starling/conf"
	"starling/side"
	"starling/vars"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family. It must be before all families with filters: they see what its filter makes of the response.
var Module = web.Module{
	Module: conf.Module{
		Name:  "slice",
		Doc:   "Fetches responses in pieces, by ranges.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{{
			Name: "slice", Syntax: "<size>", Default: "0", In: places,
			Doc: "Sets the size of the slices; 0 disables slicing. The request to the server must have the range: " +
				"`proxy_set_header Range $slice_range`.",
			Set: conf.Field(func(s *Settings) *int64 { return &s.bytes }, conf.Size),
		}},
	},
	Variables: []vars.Variable[*web.Request]{{
		Name: "slice_range", Doc: "The range of the current slice, as in a Range header: `bytes=0-1048575`.",
		Append: appendRange,
	}},
	Filters: []web.FilterHook{{Build: build}},
}

// Settings of one block.
type Settings struct{ bytes int64 }

func build(b *web.Block) (web.Filter, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if s.bytes == 0 {
		return nil, nil
	}
	side.SlotOf[slices](&web.Side, b.Plan)
	return s.filter, nil
}
