// Package ssi is ssi: it executes the commands in pages (server side includes).
package ssi

import (
	"starling/conf"
	"starling/vars"
	"starling/web"
)

const (
	places   = conf.HTTP | conf.Server | conf.Location
	placesIf = places | conf.LocationIf
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "ssi",
		Doc:   "Executes the commands in pages (server side includes).",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "ssi", Syntax: "on | off", Default: "off", In: placesIf,
				Doc: "Executes commands of the form `<!--# command name=value -->` in responses: `include`, `echo`, " +
					"`set`, `config`, `if`, `elif`, `else`, `endif`, `block` and `endblock`.",
				Set: conf.Field(func(s *Settings) *bool { return &s.on }, conf.Flag),
			}, {
				Name: "ssi_types", Syntax: "<type>...", In: places, Repeat: true, DefaultDoc: "`text/html`",
				Doc: "Sets the MIME types of responses to process in addition to text/html; `*` matches all.",
				Set: web.SetMediaTypes(func(s *Settings) *web.MediaTypes { return &s.types }),
			}, {
				Name: "ssi_silent_errors", Syntax: "on | off", Default: "off", In: places,
				Doc: "Sends nothing in place of a command that fails, instead of an error message.",
				Set: conf.Field(func(s *Settings) *bool { return &s.silent }, conf.Flag),
			}, {
				Name: "ssi_last_modified", Syntax: "on | off", Default: "off", In: places,
				Doc: "Keeps `Last-Modified`, and `ETag` as a weak ETag. Otherwise both are removed.",
				Set: conf.Field(func(s *Settings) *bool { return &s.lastModified }, conf.Flag),
			}, {
				Name: "ssi_value_length", Syntax: "<length>", Default: "256", In: places,
				Doc: "Sets the maximum length of a value in a command.",
				Set: conf.Field(func(s *Settings) *int64 { return &s.valueBytes },
					conf.Between(conf.Size, 0, maxValueBytes)),
			},
		},
	},
	Variables: []vars.Variable[*web.Request]{
		dateVariable(dateLocal, "The current time in the local zone, in the format of the command `config timefmt`.",
			false),
		dateVariable(dateGMT, "The current time in UTC, in the format of the command `config timefmt`.", true),
	},
	Filters: []web.FilterHook{{Build: build}},
}

// Settings of one block.
type Settings struct {
	on           bool
	types        web.MediaTypes
	silent       bool
	lastModified bool
	valueBytes   int64
}

// Bounds of what one page can grow.
const (
	// maxValueBytes bounds ssi_value_length: a command is kept in memory.
	maxValueBytes = 1 << 20
	// maxCommandBytes and maxNameBytes are nginx's bounds of a command's and a parameter's name.
	maxCommandBytes = 32
	maxNameBytes    = 32
	// maxParameters is nginx's.
	maxParameters = 16
	// maxPageBytes bounds the blocks, the variables and the responses stored in variables of one client's request.
	maxPageBytes = 1 << 20
)
