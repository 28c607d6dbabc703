// Package proxy is proxy_pass of stream: it forwards a TCP or UDP session to a server of a group.
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
		Doc:  "Proxies TCP and UDP sessions to other servers.",
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
	return conf.Directive{
		Name:    name,
		Syntax:  "on | off",
		Default: byDefault,
		In:      places,
		Doc:     doc,
		Set:     conf.Field(place, conf.Flag),
	}
}

func timed(name, byDefault, doc string, place func(*Settings) *time.Duration) conf.Directive {
	return conf.Directive{
		Name:    name,
		Syntax:  "<time>",
		Default: byDefault,
		In:      places,
		Doc:     doc,
		Set:     conf.Field(place, conf.Time),
	}
}

var passing = []conf.Directive{
	{
		Name: "proxy_pass", Syntax: "<address>", In: conf.StreamServer,
		Doc: "Sets the address of the proxied server: an IP address or domain name with a port, a unix socket " +
			"(`unix:` and a path) or a group of servers. The address can contain variables; names that are not " +
			"groups are then resolved at run time.",
		Set: conf.Raw(setPass),
	}, {
		Name: "proxy_protocol", Syntax: "<version>", Default: "off", In: places,
		Doc: "Sends the client's address to the proxied server in a PROXY protocol header: `on` for version 1, `v2` " +
			"for version 2.",
		Set: conf.Field(func(s *Settings) *headerVersion { return &s.header }, conf.OneOf(headerVersions)),
	},
	flag(
		"proxy_half_close",
		"off",
		"Closes each direction of a TCP session independently. Otherwise the first close ends both.",
		func(s *Settings) *bool { return &s.halfClose },
	),
}

var limits = []conf.Directive{
	timed(
		"proxy_timeout",
		"10m",
		"Sets the inactivity timeout of a session.",
		func(s *Settings) *time.Duration { return &s.timeout },
	),
	{
		Name: "proxy_buffer_size", Syntax: "<size>", Default: "16k", In: places,
		Doc: "Sets the size of the read buffer of each direction.",
		Set: conf.Field(
			func(s *Settings) *int64 { return &s.bufferBytes },
			conf.Between(conf.Size, minBufferBytes, maxBufferBytes),
		),
	}, {
		Name: "proxy_upload_rate", Syntax: "<rate>", DefaultDoc: "0", In: places,
		Doc: "Limits the rate of reading from a client, in bytes per second; 0 disables the limit.",
		Set: setRate(func(s *Settings) **template { return &s.uploadRate }),
	}, {
		Name: "proxy_download_rate", Syntax: "<rate>", DefaultDoc: "0", In: places,
		Doc: "Limits the rate of reading from the proxied server, in bytes per second; 0 disables the limit.",
		Set: setRate(func(s *Settings) **template { return &s.downloadRate }),
	}, {
		Name: "proxy_requests", Syntax: "<number>", Default: "0", In: places,
		Doc: "Sets the number of client datagrams after which the next datagram starts a new UDP session; 0 disables " +
			"the limit.",
		Set: conf.Field(func(s *Settings) *int { return &s.requests }, conf.Number),
	}, {
		Name: "proxy_responses", Syntax: "<number>", DefaultDoc: "unlimited", In: places,
		Doc: "Sets the number of datagrams expected in response to each client datagram, after which the UDP session " +
			"ends. Without it, the session ends after proxy_timeout.",
		Set: conf.Field(func(s *Settings) *int { return &s.responses }, conf.Int(0, unlimited)),
	},
}

var retries = []conf.Directive{
	flag(
		"proxy_next_upstream",
		"on",
		"Retries the connection on the next server if a server cannot be reached.",
		func(s *Settings) *bool { return &s.next },
	),
	{
		Name: "proxy_next_upstream_tries", Syntax: "<number>", Default: "0", In: places,
		Doc: "Limits the number of servers tried; 0 disables the limit.",
		Set: conf.Field(func(s *Settings) *int { return &s.nextTries }, conf.Number),
	},
	timed(
		"proxy_next_upstream_timeout",
		"0",
		"Limits the time during which a request can be retried on the next server; 0 disables the limit.",
		func(s *Settings) *time.Duration { return &s.nextTimeout },
	),
}

var encryption = []conf.Directive{
	flag(
		"proxy_ssl",
		"off",
		"Enables TLS for connections to the servers.",
		func(s *Settings) *bool { return &s.connections.TLS.On },
	),
	{
		Name: "proxy_ssl_alpn", Syntax: "<protocol>...", In: places,
		Doc: "Sets the application protocols to offer (ALPN).",
		Set: conf.Whole(func(s *Settings) *[]template { return &s.alpn }, parseALPN),
	},
}
