package proxy

import (
	"starling/vars"
	"starling/web"
	"starling/web/forward"
	"starling/web/h1"
)

func variables() []vars.Variable[*web.Request] {
	return []vars.Variable[*web.Request]{
		ofTarget("proxy_host", "The host and port of the `proxy_pass` URL.",
			func(d *forward.Destination) string { return d.Host }),
		ofTarget("proxy_port", "The port of the `proxy_pass` URL.",
			func(d *forward.Destination) string { return d.Port }),
		{Name: "proxy_add_x_forwarded_for", Append: appendForwardedFor,
			Doc: "The `X-Forwarded-For` request header with the client's address appended."},
	}
}

func ofTarget(name, doc string, part func(*forward.Destination) string) vars.Variable[*web.Request] {
	value := func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
		d := forward.DestinationOf(r, &family)
		if d == nil {
			return dst, false
		}
		return append(dst, part(d)...), true
	}
	return vars.Variable[*web.Request]{Name: name, Doc: doc, Append: value}
}

// appendForwardedFor joins all X-Forwarded-For headers, as nginx does since it supports several.
func appendForwardedFor(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	if r.Seen.Has(h1.HeaderXForwardedFor) {
		for i := range r.Headers {
			if r.Headers[i].ID == h1.HeaderXForwardedFor {
				dst = append(append(dst, r.Headers[i].Value...), ", "...)
			}
		}
	}
	if !r.Remote.IsValid() {
		return append(dst, "unix:"...), true
	}
	return r.Remote.Addr().AppendTo(dst), true
}
