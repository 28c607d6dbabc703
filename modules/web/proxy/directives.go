// Package proxy is proxy_pass: a request is sent on to a server of a group and the answer is streamed back.
package proxy

import (
	"fmt"
	"time"

	"starling/conf"
	"starling/ssl"
	"starling/upstreams"
	"starling/vars"
	"starling/web"
)

const (
	places   = conf.HTTP | conf.Server | conf.Location
	passable = conf.Location | conf.LocationIf | conf.LimitExcept
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:       "proxy",
		Doc:        "Passes requests to other servers.",
		New:        func() any { return &Settings{tls: ssl.NewBoundClient()} },
		Clone:      conf.CloneOf[Settings],
		Enter:      enter,
		Directives: directives(),
		Check:      conf.CheckOf(check),
	},
	Variables: variables(),
	Handlers:  []web.Hook{{Phase: web.Content, Build: build}},
	Link:      link,
}

func directives() []conf.Directive {
	all := concat(passing, requests, responses, retries, connections)
	tls := ssl.ClientDirectives("proxy_ssl", places, func(s *Settings) *ssl.BoundClient { return &s.tls })
	return append(all, ssl.NameDirectives("proxy_ssl", places, tls, web.CompileTemplate,
		func(s *Settings) *ssl.ClientNames[*web.Request] { return &s.tlsFiles })...)
}

func concat(lists ...[]conf.Directive) (all []conf.Directive) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func flag(name, byDefault, doc string, place func(*Settings) *bool) conf.Directive {
	return conf.Directive{Name: name, Syntax: "on | off", Default: byDefault, In: places, Doc: doc, Set: conf.Field(place, conf.Flag)}
}

func timed(name, byDefault, doc string, place func(*Settings) *time.Duration) conf.Directive {
	return conf.Directive{Name: name, Syntax: "<time>", Default: byDefault, In: places, Doc: doc, Set: conf.Field(place, conf.Time)}
}

func template(name, syntax, doc string, place func(*Settings) **vars.Template[*web.Request]) conf.Directive {
	return conf.Directive{Name: name, Syntax: syntax, In: places, Doc: doc, Set: conf.Raw(func(s *Settings, a *conf.Args) error {
		t, err := web.CompileTemplate(a, a.Words[0])
		*place(s) = &t
		return err
	})}
}

var passing = []conf.Directive{
	{
		Name: "proxy_pass", Syntax: "<url>", In: passable,
		Doc: "Sends the requests of a location to a server or a group of servers. A URI in the URL takes the place of the location's name.",
		Set: conf.Raw(setPass),
	}, {
		Name: "proxy_http_version", Syntax: "<version>", Default: "1.1", In: places, Doc: "Sets the version of HTTP: 1.0 or 1.1.",
		Set: conf.Field(func(s *Settings) *bool { return &s.version10 }, parseVersion),
	},
	flag("proxy_ignore_client_abort", "off", "Goes on with a request whose client has left.", func(s *Settings) *bool { return &s.ignoreClientAbort }),
}

func parseVersion(text string) (bool, error) {
	switch text {
	case "1.0":
		return true, nil
	case "1.1":
		return false, nil
	case "2":
		return false, conf.Unsupported("2")
	}
	return false, fmt.Errorf("invalid value \"%s\"", text)
}

var requests = []conf.Directive{
	{
		Name: "proxy_set_header", Syntax: "<field> <value>", In: places, Repeat: true,
		Doc: "Sets a header of the request, or leaves it out if the value is empty. A level with any of these inherits none.",
		Set: conf.List(func(s *Settings) *[]setHeader { return &s.headers }, parseHeader),
	},
	template("proxy_method", "<method>", "Sets the method of the request.", func(s *Settings) **vars.Template[*web.Request] { return &s.method }),
	template("proxy_set_body", "<value>", "Sets the body of the request.", func(s *Settings) **vars.Template[*web.Request] { return &s.body }),
	flag("proxy_pass_request_headers", "on", "Passes the client's headers.", func(s *Settings) *bool { return &s.passHeaders }),
	flag("proxy_pass_request_body", "on", "Passes the client's body.", func(s *Settings) *bool { return &s.passBody }),
	flag("proxy_request_buffering", "on", "Reads the whole body before a server is asked: into memory, or a temporary file beyond client_body_buffer_size. Off passes it on as it comes.",
		func(s *Settings) *bool { return &s.requestBuffering }),
}

var responses = []conf.Directive{
	flag("proxy_buffering", "on", "Collects small pieces of a response; off sends each at once. No response is written to disk in either case.",
		func(s *Settings) *bool { return &s.buffering }),
	{
		Name: "proxy_buffer_size", Syntax: "<size>", Default: "4k", In: places, Doc: "Bounds the head of a response.",
		Set: conf.Field(func(s *Settings) *int { return &s.bufferBytes }, bufferBytes),
	}, {
		Name: "proxy_buffers", Syntax: "<number> <size>", Default: "8 4k", In: places,
		Doc: "Sets how much of a response is read at once: all of these together.", Set: conf.Raw(setBuffers),
	}, {
		Name: "proxy_busy_buffers_size", Syntax: "<size>", DefaultDoc: "8k", In: places,
		Doc: "Is checked against the other sizes as in nginx; there is no use for it beyond that.",
		Set: conf.Field(func(s *Settings) *int { return &s.busyBytes }, bufferBytes),
	}, {
		Name: "proxy_max_temp_file_size", Syntax: "<size>", DefaultDoc: "0", In: places,
		Doc: "Bounds what of a response is written to disk. Nothing ever is, so every bound is kept.",
		Set: conf.Field(func(s *Settings) *int { return &s.tempFileBytes }, tempFileBytes),
	}, {
		Name: "proxy_hide_header", Syntax: "<field>", In: places, Repeat: true, Doc: "Keeps a header of the response from the client.",
		Set: conf.List(func(s *Settings) *[]string { return &s.hide }, firstWord),
	}, {
		Name: "proxy_pass_header", Syntax: "<field>", In: places, Repeat: true,
		Doc: "Passes a header that is otherwise hidden: Date, Server, X-Pad, X-Accel-….",
		Set: conf.List(func(s *Settings) *[]string { return &s.pass }, firstWord),
	}, {
		Name: "proxy_ignore_headers", Syntax: "<field>...", In: places,
		Doc: "Keeps headers of the response from having an effect here: X-Accel-Redirect, X-Accel-Limit-Rate and their kin.",
		Set: conf.Whole(func(s *Settings) *ignored { return &s.ignore }, parseIgnored),
	},
	flag("proxy_pass_trailers", "off", "Passes the fields behind the body of a response; the server must be told that they are welcome (TE).",
		func(s *Settings) *bool { return &s.passTrailers }),
	flag("proxy_intercept_errors", "off", "Lets error_page answer statuses from 300 on that servers send.", func(s *Settings) *bool { return &s.intercept }),
	{
		Name: "proxy_redirect", Syntax: "<words>...", DefaultDoc: "default", In: places, Repeat: true,
		Doc: "Changes Location and Refresh of responses: `default`, `off`, or a text or regular expression (~, ~*) and what to put in its place.",
		Set: conf.Raw(addRedirect),
	}, {
		Name: "proxy_cookie_domain", Syntax: "<words>...", DefaultDoc: "off", In: places, Repeat: true,
		Doc: "Changes the domain of Set-Cookie: `off`, or a text or regular expression (~) and what to put in its place.",
		Set: conf.Raw(func(s *Settings, a *conf.Args) error { return addCookieRule(&s.cookieDomains, a, true) }),
	}, {
		Name: "proxy_cookie_path", Syntax: "<words>...", DefaultDoc: "off", In: places, Repeat: true,
		Doc: "Changes the path of Set-Cookie: `off`, or a text or regular expression (~, ~*) and what to put in its place.",
		Set: conf.Raw(func(s *Settings, a *conf.Args) error { return addCookieRule(&s.cookiePaths, a, false) }),
	}, {
		Name: "proxy_cookie_flags", Syntax: "<words>...", DefaultDoc: "off", In: places, Repeat: true,
		Doc: "Sets or removes flags of Set-Cookie: `off`, or a name or regular expression (~) of cookies and secure, httponly, " +
			"samesite=strict|lax|none, or those with `no` before them.",
		Set: conf.Raw(addFlagRule),
	},
}

var retries = []conf.Directive{
	{
		Name: "proxy_next_upstream", Syntax: "<condition>...", Default: "error timeout", In: places,
		Doc: "Says after what another server is tried. POST, LOCK and PATCH are only sent twice with `non_idempotent`.",
		Set: conf.Whole(func(s *Settings) *conditions { return &s.next }, parseConditions),
	}, {
		Name: "proxy_next_upstream_tries", Syntax: "<number>", Default: "0", In: places, Doc: "Bounds the servers tried; 0 does not.",
		Set: conf.Field(func(s *Settings) *int { return &s.nextTries }, conf.Number),
	},
	timed("proxy_next_upstream_timeout", "0", "Bounds the time within which another server is tried; 0 does not.",
		func(s *Settings) *time.Duration { return &s.nextTimeout }),
}

var connections = []conf.Directive{
	timed("proxy_connect_timeout", "60s", "Bounds connecting to a server.", func(s *Settings) *time.Duration { return &s.connectTimeout }),
	timed("proxy_send_timeout", "60s", "Bounds the time between two writes to a server.", func(s *Settings) *time.Duration { return &s.sendTimeout }),
	timed("proxy_read_timeout", "60s", "Bounds the time between two reads from a server.", func(s *Settings) *time.Duration { return &s.readTimeout }),
	upstreams.BindDirective(places, web.Variables, func(s *Settings) *upstreams.Bind[*web.Request] { return &s.bind }),
	flag("proxy_socket_keepalive", "off", "Sends TCP keep-alive probes to servers.", func(s *Settings) *bool { return &s.probe }),
	template("proxy_ssl_name", "<name>", "Sets the name to verify and to send; by default that of the URL.",
		func(s *Settings) **vars.Template[*web.Request] { return &s.tlsName }),
	flag("proxy_ssl_session_reuse", "on", "Resumes TLS sessions.", func(s *Settings) *bool { return &s.reuse }),
}
