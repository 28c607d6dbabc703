// Package autoindex lists directories.
package autoindex

import (
	"starling/conf"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family. It stands after the family that serves index files.
var Module = web.Module{
	Module: conf.Module{
		Name:  "autoindex",
		Doc:   "Lists the files of directories without an index file.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "autoindex", Syntax: "on | off", Default: "off", In: places,
				Doc: "Answers for a directory that has no index file with a list of its files, without those whose " +
					"names begin with a dot.",
				Set: conf.Field(func(s *Settings) *bool { return &s.on }, conf.Flag),
			}, {
				Name: "autoindex_format", Syntax: "html | json | jsonp | xml", Default: "html", In: places,
				Doc: "Sets the format of the list. `jsonp` calls the function that the argument `callback` names.",
				Set: conf.Field(func(s *Settings) *format { return &s.format }, conf.OneOf(formats)),
			}, {
				Name: "autoindex_exact_size", Syntax: "on | off", Default: "on", In: places,
				Doc: "Shows sizes in bytes, or rounded to K, M and G. It applies to `html`.",
				Set: conf.Field(func(s *Settings) *bool { return &s.exactSize }, conf.Flag),
			}, {
				Name: "autoindex_localtime", Syntax: "on | off", Default: "off", In: places,
				Doc: "Shows times of the local zone instead of UTC. It applies to `html`.",
				Set: conf.Field(func(s *Settings) *bool { return &s.localTime }, conf.Flag),
			},
		},
	},
	Handlers: []web.Hook{{Phase: web.Content, LastResort: true, Build: build}},
}

// format is that of a list.
type format int

const (
	formatHTML format = iota
	formatJSON
	formatJSONP
	formatXML
)

var formats = map[string]format{
	"html": formatHTML, "json": formatJSON, "jsonp": formatJSONP, "xml": formatXML,
}

// Settings of one block.
type Settings struct {
	on        bool
	format    format
	exactSize bool
	localTime bool
}

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if !s.on {
		return nil, nil
	}
	return s.handle, nil
}
