// Package zstd compresses responses with Zstandard.
package zstd

import (
	"fmt"
	"strconv"

	"starling/conf"
	"starling/vars"
	"starling/web"
	"starling/web/encoding"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family. It has the directives of the module zstd-nginx-module for nginx.
var Module = web.Module{
	Module: conf.Module{
		Name:  "zstd",
		Doc:   "Compresses responses with Zstandard, and serves files that were compressed beforehand.",
		New:   conf.NewOf[encoding.Zstd],
		Clone: conf.CloneOf[encoding.Zstd],
		Directives: []conf.Directive{
			{
				Name: "zstd", Syntax: "on | off", Default: "off", In: places | conf.LocationIf,
				Doc: "Enables compression of responses with status 200, 403 or 404 for clients that accept `zstd`.",
				Set: conf.Field(func(s *encoding.Zstd) *bool { return &s.On }, conf.Flag),
			}, {
				Name: "zstd_comp_level", Syntax: "<level>", Default: "1", In: places,
				Doc: "Sets the compression level, up to 22 (smallest). Levels up to 2, from 3 to 5, from 6 to 9 and " +
					"from 10 on are the same.",
				Set: conf.Field(func(s *encoding.Zstd) *int { return &s.Level }, level),
			}, {
				Name: "zstd_min_length", Syntax: "<length>", Default: "20", In: places,
				Doc: "Sets the minimum Content-Length of a compressed response.",
				Set: conf.Field(func(s *encoding.Zstd) *int64 { return &s.MinBytes }, conf.Size),
			}, {
				Name: "zstd_types", Syntax: "<type>...", In: places, Repeat: true, DefaultDoc: "`text/html`",
				Doc: "Sets the MIME types to compress in addition to text/html; `*` matches all.",
				Set: web.SetMediaTypes(func(s *encoding.Zstd) *web.MediaTypes { return &s.Types }),
			}, {
				Name: "zstd_buffers", Syntax: "<number> <size>", In: places, NoEffect: true,
				Doc: "Accepted for compatibility, no effect: compression manages its own memory.",
				Set: conf.Raw(func(_ *encoding.Zstd, a *conf.Args) error {
					a.Ignore("compression manages its own memory")
					return nil
				}),
			}, {
				Name: "zstd_static", Syntax: "on | off | always", Default: "off", In: places,
				Doc: "Answers with the file `<name>.zst`, if it exists, in place of the file `<name>`: to clients " +
					"that accept `zstd`, or to all with `always`.",
				Set: conf.Field(func(s *encoding.Zstd) *encoding.Static { return &s.Static },
					conf.OneOf(encoding.StaticWords)),
			},
		},
	},
	Variables: []vars.Variable[*web.Request]{{
		Name: "zstd_ratio", Doc: "The compression ratio.",
		Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
			return encoding.AppendRatio(r, encoding.ZstdCoding, dst)
		},
	}},
	Handlers: []web.Hook{{
		Phase: web.Content, LastResort: true,
		Build: func(b *web.Block) (web.Handler, error) { return encoding.BuildStatic(b, encoding.ZstdCoding) },
	}},
	Filters: []web.FilterHook{{Joint: true, Build: func(b *web.Block) (web.Filter, error) {
		return encoding.BuildFilter(b, encoding.ZstdCoding)
	}}},
}

// Levels of the library of zstd; negative ones are faster than 1.
const minLevel, maxLevel = -131072, 22

func level(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, conf.InvalidNumber
	}
	if n == 0 || n < minLevel || n > maxLevel {
		return 0, fmt.Errorf("zstd compression level must be between %d and %d, and not 0", minLevel, maxLevel)
	}
	return n, nil
}
