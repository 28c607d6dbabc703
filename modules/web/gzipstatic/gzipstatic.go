// Package gzipstatic is gzip_static: it serves files that were compressed beforehand.
package gzipstatic

import (
	"starling/conf"
	"starling/web"
	"starling/web/encoding"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family. It stands before the family that serves files.
var Module = web.Module{
	Module: conf.Module{
		Name:  "gzip_static",
		Doc:   "Serves files that were compressed beforehand.",
		New:   conf.NewOf[encoding.GzipStatic],
		Clone: conf.CloneOf[encoding.GzipStatic],
		Directives: []conf.Directive{{
			Name: "gzip_static", Syntax: "on | off | always", Default: "off", In: places,
			Doc: "Answers with the file `<name>.gz`, if it exists, in place of the file `<name>`: to clients that " +
				"accept gzip (as for `gzip`, by `gzip_http_version`, `gzip_proxied` and `gzip_disable` too), or to " +
				"all with `always`, where `gunzip` can decompress it for the others. Both files should be of the " +
				"same age.",
			Set: conf.Field(func(s *encoding.GzipStatic) *encoding.Static { return &s.When },
				conf.OneOf(encoding.StaticWords)),
		}},
	},
	Handlers: []web.Hook{{
		Phase: web.Content, LastResort: true,
		Build: func(b *web.Block) (web.Handler, error) { return encoding.BuildStatic(b, encoding.GzipCoding) },
	}},
}
