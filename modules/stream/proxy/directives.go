// Package proxy is proxy_pass of stream: a TCP or UDP session is sent on to a server of a group.
package proxy

import (
	"time"

	"starling/conf"
	"starling/stream"
	"starling/upstream/connect"
)

const places = conf.Stream | conf.StreamServer

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name: "proxy",
		Doc:  "Passes TCP and UDP sessions to other servers.",
		New: func() any {
			return &Settings{connections: connect.NewSettings[*stream.Session](), responses: unlimited}
		},
		Clone:      conf.CloneOf[Settings],
		Directives: directives(),
	},
	Variables: variables,
	Handlers:  []stream.Hook{{Phase: stream.Content, Build: build}},
}

func directives() (all []conf.Directive) {
	for _, list := range [][]conf.Directive{passing, limits, retries, encryption} {
		all = append(all, list...)
	}
	return append(all, connect.Directives(&stream.Side, "proxy", places, true,
		func(s *Settings) *connect.Settings[*stream.Session] { return &s.connections })...)
}

func flag(name, byDefault, doc string, place func(*Settings) *bool) conf.Directive {
	return conf.Directive{Name: name, Syntax: "on | off", Default: byDefault, In: places, Doc: doc, Set: conf.Field(place, conf.Flag)}
}

func timed(name, byDefault, doc string, place func(*Settings) *time.Duration) conf.Directive {
	return conf.Directive{Name: name, Syntax: "<time>", Default: byDefault, In: places, Doc: doc, Set: conf.Field(place, conf.Time)}
}

var passing = []conf.Directive{
	{
		Name: "proxy_pass", Syntax: "<address>", In: conf.StreamServer,
		Doc: "Sends the sessions of a server to an address with a port, a unix socket (`unix:` and a path) or a group of servers. " +
			"Variables may say which; names that are no group are then asked of the resolver.",
		Set: conf.Raw(setPass),
	}, {
		Name: "proxy_protocol", Syntax: "<version>", Default: "off", In: places,
		Doc: "Tells the server who the client is by a header of the PROXY protocol: `on` for version 1, `v2` for version 2.",
		Set: conf.Field(func(s *Settings) *headerVersion { return &s.header }, conf.OneOf(headerVersions)),
	},
	flag("proxy_half_close", "off", "Lets each direction of a TCP session end by itself; else the first end is that of both.",
		func(s *Settings) *bool { return &s.halfClose }),
}

var limits = []conf.Directive{
	timed("proxy_timeout", "10m", "Ends a session in which nothing moves either way for so long.", func(s *Settings) *time.Duration { return &s.timeout }),
	{
		Name: "proxy_buffer_size", Syntax: "<size>", Default: "16k", In: places,
		Doc: "Sets how much is read at once, in each direction.",
		Set: conf.Field(func(s *Settings) *int64 { return &s.bufferBytes }, conf.Between(conf.Size, minBufferBytes, maxBufferBytes)),
	}, {
		Name: "proxy_upload_rate", Syntax: "<rate>", DefaultDoc: "0", In: places,
		Doc: "Limits what is read of one client, in bytes per second; 0 does not.",
		Set: setRate(func(s *Settings) **template { return &s.uploadRate }),
	}, {
		Name: "proxy_download_rate", Syntax: "<rate>", DefaultDoc: "0", In: places,
		Doc: "Limits what is read of a server for one client, in bytes per second; 0 does not.",
		Set: setRate(func(s *Settings) **template { return &s.downloadRate }),
	}, {
		Name: "proxy_requests", Syntax: "<number>", Default: "0", In: places,
		Doc: "Sets after how many datagrams of a client its next one begins another UDP session; 0: never.",
		Set: conf.Field(func(s *Settings) *int { return &s.requests }, conf.Number),
	}, {
		Name: "proxy_responses", Syntax: "<number>", DefaultDoc: "unlimited", In: places,
		Doc: "Sets how many datagrams are awaited for each one of the client; with them a UDP session ends. Without, it ends by proxy_timeout.",
		Set: conf.Field(func(s *Settings) *int { return &s.responses }, conf.Int(0, unlimited)),
	},
}

var retries = []conf.Directive{
	flag("proxy_next_upstream", "on", "Tries another server where one cannot be connected to.", func(s *Settings) *bool { return &s.next }),
	{
		Name: "proxy_next_upstream_tries", Syntax: "<number>", Default: "0", In: places, Doc: "Bounds the servers tried; 0 does not.",
		Set: conf.Field(func(s *Settings) *int { return &s.nextTries }, conf.Number),
	},
	timed("proxy_next_upstream_timeout", "0", "Bounds the time within which another server is tried; 0 does not.",
		func(s *Settings) *time.Duration { return &s.nextTimeout }),
}

var encryption = []conf.Directive{
	flag("proxy_ssl", "off", "Speaks TLS to the servers.", func(s *Settings) *bool { return &s.connections.TLS.On }),
	{
		Name: "proxy_ssl_alpn", Syntax: "<protocol>...", In: places, Doc: "Sets the protocols of the application layer to offer.",
		Set: conf.Whole(func(s *Settings) *[]template { return &s.alpn }, parseALPN),
	},
}
