// Package proxy is proxy_pass: the versions of HTTP with which web/forward passes a request to a server of a group and
// streams the answer back. HTTP/1.1 is here, HTTP/2 in web/forward/h2client.
package proxy

import (
	"slices"

	"starling/conf"
	"starling/vars"
	"starling/web"
	"starling/web/forward"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:       "proxy",
		Doc:        "Proxies requests to other servers.",
		New:        newSettings,
		Clone:      conf.CloneOf[Settings],
		Enter:      enter,
		Directives: directives(),
		Check:      conf.CheckOf(check),
	},
	Variables: variables(),
	Handlers:  []web.Hook{{Phase: web.Content, Build: build}},
}

// family is the same for web/forward.
var family = forward.Family{
	Prefix: "proxy",
	Pass:   conf.Location | conf.LocationIf | conf.LimitExcept,
	Schemes: []forward.Scheme{{Text: "http://", Shown: "http://", Port: 80}, {Text: "https://", Shown: "https://",
		Port: 443, TLS: true}},
	Next: map[string]forward.Condition{"error": forward.OnError, "timeout": forward.OnTimeout,
		"invalid_header": forward.OnInvalid,
		"non_idempotent": forward.NonIdempotent, "http_500": forward.On500, "http_502": forward.On502,
		"http_503": forward.On503,
		"http_504": forward.On504, "http_403": forward.On403, "http_404": forward.On404, "http_429": forward.On429},
	Has: forward.Features{URL: true, URI: true, Request: true, Response: true, Buffers: true, Ranges: true,
		Trailers: true, TLS: true, Cache: true, Store: true},
}

// familyHTTP2 is the family with proxy_http_version 2: its connections are not those of HTTP/1.
var familyHTTP2 = func() forward.Family {
	f := family
	f.ALPN = []string{"h2"}
	return f
}()

const places = conf.HTTP | conf.Server | conf.Location

// directives are those of all forwarding families, followed by those that only HTTP has.
func directives() []conf.Directive {
	all := forward.Directives(&family, func(s *Settings) *forward.Settings { return &s.Settings })
	behind := map[string][]conf.Directive{
		"proxy_pass": {httpVersion}, "proxy_ignore_client_abort": requests, "proxy_intercept_errors": responses,
	}
	for name, own := range behind {
		at := slices.IndexFunc(all, func(d conf.Directive) bool { return d.Name == name })
		all = slices.Insert(all, at+1, own...)
	}
	return all
}

var httpVersion = conf.Directive{
	Name: "proxy_http_version", Syntax: "<version>", Default: "1.1", In: places,
	Doc: "Sets the HTTP version of proxied requests: 1.0, 1.1 or 2. With `https`, 2 is offered in ALPN; without, " +
		"servers are expected to speak it at once (prior knowledge).",
	Set: conf.Field(func(s *Settings) *version { return &s.version },
		conf.OneOf(map[string]version{"1.0": http10, "1.1": http11, "2": http2})),
}

var requests = []conf.Directive{
	forward.SetHeaderDirective(&family, func(s *Settings) *[]forward.SetHeader { return &s.headers }),
	template("proxy_method", "<method>", "Sets the method of the proxied request.",
		func(s *Settings) **vars.Template[*web.Request] { return &s.method }),
	template("proxy_set_body", "<value>", "Sets the body of the proxied request.",
		func(s *Settings) **vars.Template[*web.Request] { return &s.Body }),
}

func template(name, syntax, doc string, place func(*Settings) **vars.Template[*web.Request]) conf.Directive {
	return conf.Directive{
		Name:   name,
		Syntax: syntax,
		In:     places,
		Doc:    doc,
		Set: conf.Raw(func(s *Settings, a *conf.Args) error {
			t, err := web.Side.Compile(a, a.Words[0])
			*place(s) = &t
			return err
		}),
	}
}

var responses = []conf.Directive{
	{
		Name: "proxy_redirect", Syntax: "<words>...", DefaultDoc: "default", In: places, Repeat: true,
		Doc: "Rewrites the Location and Refresh response headers: `default`, `off`, or a text or regular expression " +
			"(~, ~*) and its replacement.",
		Set: conf.Raw(addRedirect),
	}, {
		Name: "proxy_cookie_domain", Syntax: "<words>...", DefaultDoc: "off", In: places, Repeat: true,
		Doc: "Rewrites the domain of Set-Cookie: `off`, or a text or regular expression (~) and its replacement.",
		Set: conf.Raw(func(s *Settings, a *conf.Args) error { return addCookieRule(&s.cookieDomains, a, true) }),
	}, {
		Name: "proxy_cookie_path", Syntax: "<words>...", DefaultDoc: "off", In: places, Repeat: true,
		Doc: "Rewrites the path of Set-Cookie: `off`, or a text or regular expression (~, ~*) and its replacement.",
		Set: conf.Raw(func(s *Settings, a *conf.Args) error { return addCookieRule(&s.cookiePaths, a, false) }),
	}, {
		Name: "proxy_cookie_flags", Syntax: "<words>...", DefaultDoc: "off", In: places, Repeat: true,
		Doc: "Sets or removes flags of Set-Cookie: `off`, or a name or regular expression (~) of cookies and secure, " +
			"httponly, samesite=strict|lax|none, or one of these prefixed with `no`.",
		Set: conf.Raw(addFlagRule),
	},
}
