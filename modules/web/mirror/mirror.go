package mirror

import (
	"starling/conf"
	"starling/web"
)

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if len(s.paths) == 0 {
		return nil, nil
	}
	return s.handle, nil
}

// handle is ngx_http_mirror_handler. As in nginx, a request that continues elsewhere after an internal redirect is
// mirrored there too.
func (s *Settings) handle(r *web.Request) web.Result {
	if r.Parent() != nil {
		return web.Declined
	}
	if s.body {
		if err := r.KeepBody(true); err != nil {
			return r.ErrorStatus(err)
		}
	}
	for _, path := range s.paths {
		sub, err := r.Subrequest(web.Subrequest{Path: path, Query: r.Query, SameMethod: true, WithBody: s.body})
		if err != nil {
			return 500 // the reason is logged
		}
		sub.Start()
	}
	return web.Declined
}
