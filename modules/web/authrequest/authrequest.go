package authrequest

import (
	"starling/conf"
	"starling/logs"
	"starling/web"
	"starling/web/h1"
)

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if s.path == nil {
		return nil, nil
	}
	return s.handle, nil
}

// handle is ngx_http_auth_request_handler.
func (s *Settings) handle(r *web.Request) web.Result {
	sub, err := r.Subrequest(web.Subrequest{Path: s.path})
	if err != nil {
		return 500 // the reason is logged
	}
	answered := sub.Run()
	for i := range s.assignments {
		x := &s.assignments[i]
		x.assign(r, r.Copy(answered.Expand(&x.value))) // for any answer, as in nginx
	}
	switch status := answered.Out.Status; {
	case status == 401:
		passChallenges(r, answered)
		return 401
	case status == 403:
		return 403
	case status >= 200 && status < 300:
		return web.OK
	default:
		r.Logf(logs.Error, "auth request unexpected status: %d", status)
		return 500
	}
}

// passChallenges sends the WWW-Authenticate headers of the answer to the client.
func passChallenges(r, answered *web.Request) {
	for _, h := range answered.Out.Headers {
		if h.ID == h1.HeaderWWWAuthenticate {
			r.AddHeader(h.Name, r.Copy(h.Value))
		}
	}
}
