// Package emptygif is empty_gif: it answers with a transparent image of one pixel.
package emptygif

import (
	"starling/conf"
	"starling/web"
	"starling/web/h1"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "empty_gif",
		Doc:   "Answers with a transparent GIF image of 1 x 1 pixel.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Enter: func(settings any, _ conf.Context) { settings.(*Settings).on = false },
		Directives: []conf.Directive{{
			Name: "empty_gif", In: conf.Location, Repeat: true,
			Doc: "Answers all requests of this location with the image.",
			Set: conf.Raw(func(s *Settings, _ *conf.Args) error { s.on = true; return nil }),
		}},
	},
	Handlers: []web.Hook{{Phase: web.Content, Build: build}},
}

// Settings of one block.
type Settings struct{ on bool }

// image is the smallest GIF89a that is transparent: a palette of black and white, of which the second is transparent.
var image = []byte("GIF89a" +
	"\x01\x00\x01\x00\x80\x01\x00" + // 1 x 1, two colours
	"\x00\x00\x00\xff\xff\xff" +
	"\x21\xf9\x04\x01\x00\x00\x01\x00" + // colour 1 is transparent
	"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00" +
	"\x02\x02\x4c\x01\x00;")

// modified is the time that nginx gives: the image never changes.
var modified = []byte("Mon, 28 Sep 1970 06:00:00 GMT")

func build(b *web.Block) (web.Handler, error) {
	if !conf.SettingsOf[Settings](b.Scope).on {
		return nil, nil
	}
	return func(r *web.Request) web.Result {
		if r.MethodID != h1.MethodGet && r.MethodID != h1.MethodHead {
			return 405
		}
		r.Out.LastModified = modified
		return r.Respond(200, "image/gif", image)
	}, nil
}
