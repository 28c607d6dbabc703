// Package brotli compresses responses with Brotli.
package brotli

import (
	"starling/conf"
	"starling/vars"
	"starling/web"
	"starling/web/encoding"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family. It has the directives of the module ngx_brotli for nginx.
var Module = web.Module{
	Module: conf.Module{
		Name:  "brotli",
		Doc:   "Compresses responses with Brotli, and serves files that were compressed beforehand.",
		New:   conf.NewOf[encoding.Brotli],
		Clone: conf.CloneOf[encoding.Brotli],
		Directives: []conf.Directive{
			{
				Name: "brotli", Syntax: "on | off", Default: "off", In: places | conf.LocationIf,
				Doc: "Enables compression of responses with status 200, 403 or 404 for clients that accept `br`.",
				Set: conf.Field(func(s *encoding.Brotli) *bool { return &s.On }, conf.Flag),
			}, {
				Name: "brotli_comp_level", Syntax: "<level>", Default: "6", In: places,
				Doc: "Sets the compression level from 0 (fastest) to 11 (smallest).",
				Set: conf.Field(func(s *encoding.Brotli) *int { return &s.Level }, conf.Bounds(0, 11)),
			}, {
				Name: "brotli_window", Syntax: "<size>", Default: "512k", In: places,
				Doc: "Sets how far back the compressor finds repetitions: a power of two from 1k to 16m. A response " +
					"of known length gets a smaller window if that is enough.",
				Set: conf.Field(func(s *encoding.Brotli) *int { return &s.WindowBits }, windowBits),
			}, {
				Name: "brotli_min_length", Syntax: "<length>", Default: "20", In: places,
				Doc: "Sets the minimum Content-Length of a compressed response.",
				Set: conf.Field(func(s *encoding.Brotli) *int64 { return &s.MinBytes }, conf.Size),
			}, {
				Name: "brotli_types", Syntax: "<type>...", In: places, Repeat: true, DefaultDoc: "`text/html`",
				Doc: "Sets the MIME types to compress in addition to text/html; `*` matches all.",
				Set: web.SetMediaTypes(func(s *encoding.Brotli) *web.MediaTypes { return &s.Types }),
			}, {
				Name: "brotli_buffers", Syntax: "<number> <size>", In: places, NoEffect: true,
				Doc: "Accepted for compatibility, no effect: compression manages its own memory.",
				Set: conf.Raw(func(_ *encoding.Brotli, a *conf.Args) error {
					a.Ignore("compression manages its own memory")
					return nil
				}),
			}, {
				Name: "brotli_static", Syntax: "on | off | always", Default: "off", In: places,
				Doc: "Answers with the file `<name>.br`, if it exists, in place of the file `<name>`: to clients " +
					"that accept `br`, or to all with `always`.",
				Set: conf.Field(func(s *encoding.Brotli) *encoding.Static { return &s.Static },
					conf.OneOf(encoding.StaticWords)),
			},
		},
	},
	Variables: []vars.Variable[*web.Request]{{
		Name: "brotli_ratio", Doc: "The compression ratio.",
		Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
			return encoding.AppendRatio(r, encoding.BrotliCoding, dst)
		},
	}},
	Handlers: []web.Hook{{
		Phase: web.Content, LastResort: true,
		Build: func(b *web.Block) (web.Handler, error) { return encoding.BuildStatic(b, encoding.BrotliCoding) },
	}},
	Filters: []web.FilterHook{{Joint: true, Build: func(b *web.Block) (web.Filter, error) {
		return encoding.BuildFilter(b, encoding.BrotliCoding)
	}}},
}

// windowBits parses a size that is a power of two.
func windowBits(text string) (int, error) {
	size, err := conf.Size(text)
	if err != nil {
		return 0, err
	}
	for bits := encoding.MinWindowBits; bits <= encoding.MaxWindowBits; bits++ {
		if size == 1<<bits {
			return bits, nil
		}
	}
	return 0, conf.Verdict("must be 1k, 2k, 4k, 8k, 16k, 32k, 64k, 128k, 256k, 512k, 1m, 2m, 4m, 8m or 16m")
}
