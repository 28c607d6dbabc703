package web

import "bytes"

// postAction continues a request whose response was sent at another URI (ngx_http_post_action): it is the same request,
// so its variables tell what became of the response. Nothing more is sent to the client, and whether it disconnects
// makes no difference. As in nginx, the request is logged by the location in which it ends; the action of that location
// does not follow.
func (r *Request) postAction() {
	action := r.Location.Core.PostAction
	if action == "" {
		return
	}
	r.silent, r.finished = true, true
	to := r.CopyString(action)
	result := Result(0)
	if action[0] == '/' {
		path, query, _ := bytes.Cut(to, []byte{'?'})
		result = r.InternalRedirect(path, query)
	} else {
		result = r.NamedRedirect(action)
	}
	for result == Redirected {
		result = r.process(r.resume)
	}
	r.joinSubs()
}
