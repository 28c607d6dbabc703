package static

import (
	"starling/logs"
	"starling/nginx/escape"
	"starling/web"
	"starling/web/document"
	"starling/web/h1"
)

func buildFiles(*web.Block) (web.Handler, error) { return serve, nil }

// serve is ngx_http_static_handler.
func serve(r *web.Request) web.Result {
	if !document.Readable(r.MethodID) {
		return 405
	}
	if len(r.Path) == 0 || r.Path[len(r.Path)-1] == '/' {
		return web.Declined
	}
	if r.LostAlias() {
		return 500
	}
	path := r.Filename()
	file, info, err := document.Open(r, string(path))
	if err != nil {
		return document.Refuse(r, path, err)
	}
	defer file.Close()
	switch {
	case info.IsDir():
		return addSlash(r)
	case !info.Mode().IsRegular():
		r.Logf(logs.Crit, "\"%s\" is not a regular file", path)
		return 404
	case r.MethodID == h1.MethodPost:
		return 405
	}
	return document.Send(r, file, info, "")
}

// addSlash redirects the client to the directory's own URI.
func addSlash(r *web.Request) web.Result {
	to := append(escape.Append(r.Scratch(), r.Path, escape.Path), '/')
	if len(r.Query) > 0 {
		to = append(append(to, '?'), r.Query...)
	}
	r.Out.Location = r.KeepScratch(to)
	return 301
}
