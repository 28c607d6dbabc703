// Package core is the core of http: servers, locations, limits of requests, connections, answers and logging.
package core

import (
	"math"
	"os"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/plan"
	"starling/side"
	"starling/vars"
	"starling/web"
	"starling/web/h1"
)

// Places that allow most directives of the core.
const (
	servers     = conf.HTTP | conf.Server
	locations   = servers | conf.Location
	locationsIf = locations | conf.LocationIf
)

// defaultPort is that of a listen directive without a port.
const defaultPort = 80

// Module is the family: the directives that the http kit itself uses, and its variables. It comes first in the list.
var Module = web.Module{
	Module: conf.Module{
		Name:       "core",
		Doc:        "Virtual servers, locations, request limits and error pages.",
		New:        newSettings,
		Clone:      conf.CloneOf[web.Settings],
		Enter:      enter,
		Directives: concat(structure, requestLimits, bodies, connections, http2, content, answers, diagnostics),
	},
	API:       zoneResources,
	Variables: variables(),
}

func newSettings() any {
	return &web.Settings{Limits: h1.DefaultLimits, Types: defaultTypes, MaxRanges: math.MaxInt32,
		SubrequestBytes: int64(os.Getpagesize())}
}

// enter removes what a nested block does not inherit.
func enter(settings any, _ conf.Context) { settings.(*web.Settings).AllowedMethods = nil }

func concat(lists ...[]conf.Directive) (all []conf.Directive) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// flag declares an "on | off" directive.
func flag(name, byDefault string, in conf.Context, doc string, place func(*web.Settings) *bool) conf.Directive {
	return conf.Directive{
		Name:    name,
		Syntax:  "on | off",
		Default: byDefault,
		In:      in,
		Doc:     doc,
		Set:     conf.Field(place, conf.Flag),
	}
}

// timed declares a directive of one duration.
func timed(
	name, byDefault string,
	in conf.Context,
	doc string,
	place func(*web.Settings) *time.Duration,
) conf.Directive {
	return conf.Directive{
		Name:    name,
		Syntax:  "<time>",
		Default: byDefault,
		In:      in,
		Doc:     doc,
		Set:     conf.Field(place, conf.Time),
	}
}

var structure = []conf.Directive{
	{Name: "http", In: conf.Main, Opens: conf.HTTP, Doc: "Contains the HTTP servers."},
	{Name: "server", In: conf.HTTP, Opens: conf.Server, Repeat: true, Doc: "Configures one virtual server."},
	{
		Name: "location", Syntax: "<modifier> [<uri>]", In: conf.Server | conf.Location, Opens: conf.Location,
		Repeat: true,
		Doc: "Configures the URIs with a prefix, equal to a text (=), or matching a regular expression (~, ~*). " +
			"^~ before a prefix disables the check of regular expressions; @name is for internal redirects only.",
		Set: conf.Raw(func(_ *web.Settings, a *conf.Args) error {
			_, err := web.ReadLocationName(a.Words)
			return err
		}),
	},
	{
		Name: "limit_except", Syntax: "<method>...", In: conf.Location, Opens: conf.LimitExcept,
		Doc: "Restricts all methods except those listed. GET includes HEAD.",
		Set: conf.Raw(setLimitExcept),
	},
	{
		Name: "listen",
		Syntax: "<address> [default_server] [default] [ssl] [http2] [proxy_protocol] [bind] [backlog=<number>] " +
			"[ipv6only=on|off] [so_keepalive=<parameters>] [rcvbuf=<size>] [sndbuf=<size>] [deferred] " +
			"[fastopen=<number>] [reuseport] [multipath] [accept_filter=<filter>]",
		In: conf.Server, Repeat: true, OneMore: true, DefaultDoc: "*:80", Params: listenParams,
		Unsupported: []string{"quic", "setfib="},
		Doc:         "Sets the address and port, or the unix socket path, on which the server accepts requests.",
		Set:         conf.Raw(func(s *web.Settings, a *conf.Args) error { return s.Listens.Set(a, defaultPort) }),
	},
	{
		Name: "server_name", Syntax: "<name>...", In: conf.Server, Repeat: true, DefaultDoc: `""`,
		Doc: "Sets the names of a virtual server: exact, *.example.org, .example.org, www.example.*, ~expression, " +
			"$hostname, or \"\" for requests without name.",
		Set: side.SetNames(&web.Side, func(s *web.Settings) *side.Names[*web.Request] { return &s.Names }),
	},
}

var requestLimits = []conf.Directive{
	timed("client_header_timeout", "60s", servers, "Sets how long the head of a request may take to arrive.",
		func(s *web.Settings) *time.Duration { return &s.HeaderTimeout }),
	timed("client_body_timeout", "60s", locations, "Sets how long to wait for the next piece of a request body.",
		func(s *web.Settings) *time.Duration { return &s.BodyTimeout }),
	timed("send_timeout", "60s", locations, "Sets how long the client may take to accept more of the response.",
		func(s *web.Settings) *time.Duration { return &s.SendTimeout }),
	{
		Name: "client_header_buffer_size", Syntax: "<size>", Default: "1k", In: servers,
		Doc: "Sets the size of the buffer for reading request headers; larger headers use large buffers.",
		Set: conf.Field(func(s *web.Settings) *int { return &s.Limits.HeaderBufferBytes }, headerBytes),
	},
	{
		Name: "large_client_header_buffers", Syntax: "<number> <size>", Default: "4 8k", In: servers,
		Doc: "Sets the maximum number and size of buffers for large request headers. A line cannot exceed the size " +
			"of one buffer.",
		Set: conf.Raw(setLargeHeaderBuffers),
	},
	{
		Name: "max_headers", Syntax: "<number>", Default: "1000", In: servers,
		Doc: "Sets the maximum number of header lines of a request.",
		Set: conf.Field(func(s *web.Settings) *int { return &s.Limits.MaxHeaders }, conf.Int(1, 100000)),
	},
	{
		Name: "ignore_invalid_headers", Syntax: "on | off", Default: "on", In: servers,
		Doc: "Discards request headers with unusual names. Names that are not valid tokens are always discarded.",
		Set: conf.Field(func(s *web.Settings) *bool { return &s.Limits.PassInvalidHeaders }, isOff),
	},
	flag("underscores_in_headers", "off", servers, "Takes underscores in the names of request headers for valid.",
		func(s *web.Settings) *bool { return &s.Limits.UnderscoresAreValid }),
	{
		Name: "merge_slashes", Syntax: "on | off", Default: "on", In: servers,
		Doc: "Merges adjacent slashes in a URI into one.",
		Set: conf.Field(func(s *web.Settings) *bool { return &s.Limits.KeepSlashes }, isOff),
	},
}

var connections = []conf.Directive{
	{
		Name: "keepalive_timeout", Syntax: "<timeout> [<header_timeout>]", Default: "75s", In: locations,
		Doc: "Sets the timeout of idle client connections; 0 disables keepalive. The second value is sent in the " +
			"Keep-Alive header.",
		Set: conf.Raw(setKeepAlive),
	},
	timed("keepalive_min_timeout", "0", locations, "Sets how long an idle client connection of HTTP/1 is kept "+
		"open at least after a request, even if a reload or the end of the process closes such connections. A reload "+
		"waits for them, at most for `worker_shutdown_timeout`.",
		func(s *web.Settings) *time.Duration { return &s.KeepAliveMin }),
	{
		Name: "keepalive_requests", Syntax: "<number>", Default: "1000", In: locations,
		Doc: "Sets the maximum number of requests of a connection.",
		Set: conf.Field(func(s *web.Settings) *int { return &s.KeepAliveMax }, conf.Number),
	},
	timed("keepalive_time", "1h", locations, "Sets how long a connection may go on taking requests.",
		func(s *web.Settings) *time.Duration { return &s.KeepAliveTime }),
	{
		Name: "keepalive_disable", Syntax: "<browser>...", Default: "msie6", In: locations,
		Doc: "Disables keepalive with misbehaving browsers: none, msie6, safari.",
		Set: conf.Whole(func(s *web.Settings) *web.DisabledBrowsers { return &s.KeepAliveDisable }, parseBrowsers),
	},
	{
		Name: "lingering_close", Syntax: "<when>", Default: "on", In: locations,
		Doc: "Controls lingering close, which reads remaining client data before closing a connection so that the " +
			"client gets the response: on (if data is expected), always, off.",
		Set: conf.Field(func(s *web.Settings) *web.Lingering { return &s.Lingering },
			conf.OneOf(map[string]web.Lingering{
				"on": web.LingerIfNeeded, "off": web.LingerNever, "always": web.LingerAlways,
			})),
	},
	timed(
		"lingering_time",
		"30s",
		locations,
		"Sets how long to read on in all.",
		func(s *web.Settings) *time.Duration { return &s.LingeringTime },
	),
	timed(
		"lingering_timeout",
		"5s",
		locations,
		"Sets how long to wait for more to read.",
		func(s *web.Settings) *time.Duration { return &s.LingeringTimeout },
	),
	flag(
		"reset_timedout_connection",
		"off",
		locations,
		"Closes connections that timed out, and those of code 444, by a reset.",
		func(s *web.Settings) *bool { return &s.ResetTimedOut },
	),
	flag(
		"tcp_nodelay",
		"on",
		locations,
		"Enables TCP_NODELAY: small segments are sent immediately.",
		func(s *web.Settings) *bool { return &s.NoDelay },
	),
	flag(
		"chunked_transfer_encoding",
		"on",
		locations,
		"Sends responses of unknown length in chunks.",
		func(s *web.Settings) *bool { return &s.Chunked },
	),
	{
		Name: "limit_rate", Syntax: "<rate>", Default: "0", In: locationsIf,
		Doc: "Limits the rate of a response in bytes per second; 0 disables the limit.",
		Set: setRate(func(s *web.Settings) *vars.Template[*web.Request] { return &s.LimitRate }),
	},
	{
		Name: "limit_rate_after", Syntax: "<size>", Default: "0", In: locationsIf,
		Doc: "Sets the number of bytes sent before the rate limit applies.",
		Set: setRate(func(s *web.Settings) *vars.Template[*web.Request] { return &s.LimitRateAfter }),
	},
}

var content = []conf.Directive{
	{
		Name:    "root",
		Syntax:  "<path>",
		Default: "html",
		In:      locationsIf,
		Doc:     "Sets the root directory of requests.",
		Set:     conf.Raw(setRoot),
	},
	{
		Name:   "alias",
		Syntax: "<path>",
		In:     conf.Location,
		Doc:    "Sets the path that replaces the location's part of the URI.",
		Set:    conf.Raw(setAlias),
	},
	{
		Name: "types", In: locations, Opens: conf.Lines, Repeat: true,
		DefaultDoc: "text/html html; image/gif gif; image/jpeg jpg;",
		Doc: "Maps file name extensions to MIME types. Several blocks of one level add up; those of outer levels are " +
			"not inherited then.",
		Set: conf.Raw(setTypes),
	},
	{
		Name: "default_type", Syntax: "<mime-type>", Default: "text/plain", In: locations,
		Doc: "Sets the default MIME type.",
		Set: conf.Field(func(s *web.Settings) *string { return &s.DefaultType }, conf.String),
	},
	{
		Name: "if_modified_since", Syntax: "<how>", Default: "exact", In: locations,
		Doc: "Sets the comparison of a file's modification time with If-Modified-Since: exact, before, off.",
		Set: conf.Field(
			func(s *web.Settings) *web.IfModifiedSince { return &s.IfModifiedSince },
			conf.OneOf(
				map[string]web.IfModifiedSince{
					"exact": web.ModifiedExact, "before": web.ModifiedBefore, "off": web.ModifiedOff,
				},
			),
		),
	},
	flag("etag", "on", locations, "Sends ETag headers with files.", func(s *web.Settings) *bool { return &s.ETag }),
	{
		Name: "disable_symlinks", Syntax: "[off|on|if_not_owner] [from=<part>]", OneMore: true, DefaultDoc: "off",
		In: locations,
		Params: map[string]string{
			"off": "Allows links.", "on": "Rejects links.", "if_not_owner": "Rejects links of another owner.",
			"from": "Allows links in this part of a path.",
		},
		Doc: "Rejects files (static, index, compressed beforehand, of `try_files` and of `if`) whose path has a " +
			"symbolic link, with `if_not_owner` one with another owner than its target. `autoindex` and " +
			"`random_index` list links nevertheless.",
		Set: conf.Raw(setSymlinks),
	},
	{
		Name: "max_ranges", Syntax: "<number>", DefaultDoc: "any", In: locations,
		Doc: "Sets the maximum number of ranges of a request; 0 disables range support.",
		Set: conf.Field(func(s *web.Settings) *int { return &s.MaxRanges }, conf.Number),
	},
}

var answers = []conf.Directive{
	{
		Name: "error_page", Syntax: "<words>...", In: locationsIf, Repeat: true,
		Doc: "Sets the URI of the response for the given statuses: <code>... [=[<response>]] <uri>.",
		Set: conf.Raw(setErrorPage),
	},
	flag("log_subrequest", "off", locations, "Writes access log lines for subrequests too.",
		func(s *web.Settings) *bool { return &s.LogSubrequest }),
	{
		Name: "post_action", Syntax: "<uri>", In: locationsIf,
		Doc: "Sets a URI or named location that is requested after the response was sent; its own response is " +
			"discarded. The client's connection takes no other request meanwhile.",
		Set: conf.Field(func(s *web.Settings) *string { return &s.PostAction }, conf.String),
	},
	timed("auth_delay", "0s", locations, "Delays responses with status 401, so that passwords cannot be guessed fast.",
		func(s *web.Settings) *time.Duration { return &s.AuthDelay }),
	{
		Name: "subrequest_output_buffer_size", Syntax: "<size>", DefaultDoc: "4k | 8k", In: locations,
		Doc: "Sets the maximum size of a response that is stored in a variable (`set` of the SSI command include); " +
			"the default is a page of memory.",
		Set: conf.Field(func(s *web.Settings) *int64 { return &s.SubrequestBytes }, conf.Size),
	},
	flag("msie_padding", "on", locations, "Adds comments to the pages of errors (statuses from 400 on) for MSIE and "+
		"Chrome, which show texts of their own instead of short pages.",
		func(s *web.Settings) *bool { return &s.MSIEPadding }),
	flag("msie_refresh", "off", locations, "Answers MSIE with a page that refreshes instead of a redirect of status "+
		"301 or 302, or of `error_page`.",
		func(s *web.Settings) *bool { return &s.MSIERefresh }),
	flag("recursive_error_pages", "off", locations, "Lets error_page apply to what an error page answers.",
		func(s *web.Settings) *bool { return &s.RecursiveErrorPages }),
	{
		Name: "internal", In: conf.Location,
		Doc: "Restricts the location, and those in it, to internal requests; others get 404.",
		Set: conf.Raw(func(s *web.Settings, _ *conf.Args) error { s.Internal = true; return nil }),
	},
	{
		Name: "satisfy", Syntax: "<how>", Default: "all", In: locations,
		Doc: "Requires all or any of allow, auth_basic and the other access checks to allow a request.",
		Set: conf.Field(
			func(s *web.Settings) *bool { return &s.SatisfyAny },
			conf.OneOf(map[string]bool{"all": false, "any": true}),
		),
	},
	{
		Name: "early_hints", Syntax: "<condition>...", In: locations, Repeat: true,
		Doc: "Forwards 103 (Early Hints) responses to the client if at least one of the values, which can contain " +
			"variables, is neither empty nor `0`. HTTP/1.0 clients get none.",
		Set: conditions(func(s *web.Settings) *[]vars.Template[*web.Request] { return &s.EarlyHints }),
	},
	flag(
		"absolute_redirect",
		"on",
		locations,
		"Puts scheme and host into redirects.",
		func(s *web.Settings) *bool { return &s.AbsoluteRedirect },
	),
	flag(
		"server_name_in_redirect",
		"off",
		locations,
		"Takes the server's first name for redirects rather than that of the request.",
		func(s *web.Settings) *bool { return &s.ServerNameInRedirect },
	),
	flag(
		"port_in_redirect",
		"on",
		locations,
		"Puts a port that is not the scheme's own into redirects.",
		func(s *web.Settings) *bool { return &s.PortInRedirect },
	),
	{
		Name: "server_tokens", Syntax: "<what>", Default: "on", In: locations,
		Doc: "Sets whether the Server header and error pages include the version: `on`, `off`, `build`. Any other " +
			"text, which can contain variables, replaces the name and version; an empty text removes them.",
		Set: conf.Raw(setServerTokens),
	},
}

var diagnostics = []conf.Directive{
	{
		Name: "status_zone", Syntax: "<zone>", In: conf.Server | conf.Location | conf.LocationIf,
		Doc: "Sets the zone that counts requests in the API: those of a server at `/http/server_zones`, those of a " +
			"location at `/http/location_zones`. Several servers, or several locations, can share a zone. A " +
			"request counts in the location that it ends in: after an error page or another internal redirect, " +
			"that location instead of the first. Nested locations inherit the zone; `off` disables it. " +
			"Subrequests do not count. A name with variables is evaluated at the end of a request: empty, or " +
			"`off`, it counts nothing; the first 256 values are zones, all others count in `(other)`. Such zones " +
			"have no requests in progress and no TLS handshakes.",
		Set: conf.Raw(setStatusZone),
	},
	{
		Name: "error_log", Syntax: plan.ErrorLogSyntax, In: locations, Repeat: true,
		Doc: "Sets the error log of requests and its minimum level." + plan.ErrorLogJSON,
		Set: conf.List(func(s *web.Settings) *[]logs.Target { return &s.ErrorLogs }, plan.ErrorLogTarget),
	},
	flag(
		"log_not_found",
		"on",
		locations,
		"Logs files that were not found.",
		func(s *web.Settings) *bool { return &s.LogNotFound },
	),
	{
		Name: "resolver", Syntax: plan.ResolverSyntax, Params: plan.ResolverParams, In: locations,
		Unsupported: plan.ResolverUnsupported,
		Doc:         "Sets the DNS servers for name resolution. Without valid=, responses are cached for their TTL.",
		Set:         conf.Raw(func(s *web.Settings, a *conf.Args) error { return s.Resolver.Set(a) }),
	},
	timed("resolver_timeout", "30s", locations, "Sets the timeout for name resolution.",
		func(s *web.Settings) *time.Duration { return &s.Resolver.Timeout }),
}

// listenParams explains the parameters of listen.
var listenParams = side.ListenParams(map[string]string{
	"default_server": "The server takes requests for names that no other server of the address has.",
	"default":        "The old spelling of `default_server`.",
	"http2":          "HTTP/2 is accepted as well; the same as the directive `http2 on`.",
})
