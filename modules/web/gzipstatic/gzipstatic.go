// Package gzipstatic is gzip_static: it serves files that were compressed beforehand.
package gzipstatic

import (
	"starling/conf"
	"starling/logs"
	"starling/web"
	"starling/web/document"
	"starling/web/encoding"
	"starling/web/h1"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family. It stands before the family that serves files.
var Module = web.Module{
	Module: conf.Module{
		Name:  "gzip_static",
		Doc:   "Serves files that were compressed beforehand.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{{
			Name: "gzip_static", Syntax: "on | off | always", Default: "off", In: places,
			Doc: "Answers with the file `<name>.gz`, if it exists, in place of the file `<name>`: to clients that " +
				"accept gzip (as for `gzip`, by `gzip_http_version`, `gzip_proxied` and `gzip_disable` too), or to " +
				"all with `always`, where `gunzip` can decompress it for the others. Both files should be of the " +
				"same age.",
			Set: conf.Field(func(s *Settings) *when { return &s.when },
				conf.OneOf(map[string]when{"off": off, "on": accepted, "always": always})),
		}},
	},
	Handlers: []web.Hook{{Phase: web.Content, LastResort: true, Build: build}},
}

// when says who gets the compressed file.
type when int

const (
	off when = iota
	accepted
	always
)

// Settings of one block.
type Settings struct{ when when }

// handler is that of one block.
type handler struct {
	when   when
	client *encoding.Settings
}

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if s.when == off {
		return nil, nil
	}
	return (&handler{s.when, conf.SettingsOf[encoding.Settings](b.Scope)}).handle, nil
}

// handle is ngx_http_gzip_static_handler.
func (h *handler) handle(r *web.Request) web.Result {
	if r.MethodID != h1.MethodGet && r.MethodID != h1.MethodHead ||
		len(r.Path) == 0 || r.Path[len(r.Path)-1] == '/' {
		return web.Declined
	}
	wanted := h.when == always || h.client.Wanted(r)
	if !wanted && !h.client.Vary {
		return web.Declined
	}
	path := string(append(r.Filename(), ".gz"...))
	file, info, err := document.Open(path)
	if err != nil {
		if !document.IsMissing(err) {
			document.Refuse(r, []byte(path), err) // for the log
		}
		return web.Declined
	}
	defer file.Close()
	if h.when == accepted {
		h.client.MarkVary(r)
	}
	switch {
	case !wanted, info.IsDir():
		return web.Declined
	case !info.Mode().IsRegular():
		r.Logf(logs.Crit, "\"%s\" is not a regular file", path)
		return 404
	}
	return document.Send(r, file, info, "gzip")
}
