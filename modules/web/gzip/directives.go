// Package gzip compresses responses.
package gzip

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/nginx/regex"
	"starling/vars"
	"starling/web"
	"starling/web/encoding"
)

const (
	places   = conf.HTTP | conf.Server | conf.Location
	placesIf = places | conf.LocationIf
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "gzip",
		Doc:   "Compresses responses.",
		New:   conf.NewOf[encoding.Gzip],
		Clone: conf.CloneOf[encoding.Gzip],
		Directives: []conf.Directive{
			{
				Name: "gzip", Syntax: "on | off", Default: "off", In: placesIf,
				Doc: "Enables gzip compression of responses with status 200, 403 or 404.",
				Set: conf.Field(func(s *encoding.Gzip) *bool { return &s.On }, conf.Flag),
			}, {
				Name: "gzip_comp_level", Syntax: "<level>", Default: "1", In: places,
				Doc: "Sets the compression level from 1 (fastest) to 9 (smallest).",
				Set: conf.Field(func(s *encoding.Gzip) *int { return &s.Level }, conf.Bounds(1, 9)),
			}, {
				Name: "gzip_min_length", Syntax: "<length>", Default: "20", In: places,
				Doc: "Sets the minimum Content-Length of a compressed response.",
				Set: conf.Field(func(s *encoding.Gzip) *int64 { return &s.MinBytes }, conf.Size),
			}, {
				Name: "gzip_http_version", Syntax: "<version>", Default: "1.1", In: places,
				Doc: "Sets the minimum HTTP version of a request, 1.0 or 1.1, to compress its response.",
				Set: conf.Field(
					func(s *encoding.Gzip) *bool { return &s.HTTP10 },
					conf.OneOf(map[string]bool{"1.0": true, "1.1": false}),
				),
			}, {
				Name: "gzip_types", Syntax: "<type>...", In: places, Repeat: true, DefaultDoc: "`text/html`",
				Doc: "Sets the MIME types to compress in addition to text/html; `*` matches all.",
				Set: web.SetMediaTypes(func(s *encoding.Gzip) *web.MediaTypes { return &s.Types }),
			}, {
				Name: "gzip_vary", Syntax: "on | off", Default: "off", In: places,
				Doc: "Adds `Vary: Accept-Encoding` to responses that can be compressed.",
				Set: conf.Field(func(s *encoding.Gzip) *bool { return &s.Vary }, conf.Flag),
			}, {
				Name: "gzip_proxied", Syntax: "<what>...", Default: "off", In: places, Repeat: true,
				Doc: "Sets the conditions for compressing responses to proxied requests (with Via): off, expired, " +
					"no-cache, no-store, private, no_last_modified, no_etag, auth, any.",
				Set: conf.Raw(setProxied),
			}, {
				Name: "gzip_disable", Syntax: "<expression>...", In: places, Repeat: true, DefaultDoc: "—",
				Doc: "Disables compression for matching User-Agents; `msie6` matches Internet Explorer up to 6.",
				Set: conf.Raw(setDisabled),
			},
		},
	},
	Variables: []vars.Variable[*web.Request]{{
		Name: "gzip_ratio", Doc: "The compression ratio.",
		Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
			return encoding.AppendRatio(r, encoding.GzipCoding, dst)
		},
	}},
	Filters: []web.FilterHook{{Joint: true, Build: func(b *web.Block) (web.Filter, error) {
		return encoding.BuildFilter(b, encoding.GzipCoding)
	}}},
}

func setProxied(s *encoding.Gzip, a *conf.Args) error {
	if a.FirstWrite(&s.Proxied) {
		s.Proxied = 0
	}
	for _, word := range a.Words {
		bit, known := encoding.ProxiedNames[strings.ToLower(word)]
		if !known {
			return fmt.Errorf("invalid value \"%s\"", word)
		}
		if s.Proxied&bit != 0 {
			a.Warn("duplicate value \"%s\"", word)
		}
		s.Proxied |= bit
	}
	return nil
}

// oldBrowsers are the browsers matched by msie6: they could not read the compressed answers that they requested; one
// service pack fixed it.
const oldBrowsers = `MSIE [4-6]\.(?!.*SV1)`

func setDisabled(s *encoding.Gzip, a *conf.Args) error {
	if a.FirstWrite(&s.Disabled) {
		s.Disabled = nil
	}
	for _, word := range a.Words {
		if word == "msie6" {
			word = oldBrowsers
		}
		x, err := regex.Compile(word, true)
		if err != nil {
			return err
		}
		s.Disabled = append(s.Disabled, x)
	}
	return nil
}
