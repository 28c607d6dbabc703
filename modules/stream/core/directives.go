// Package core is the core of stream: servers, listening addresses, names, logging, status zones.
package core

import (
	"slices"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/plan"
	"starling/side"
	"starling/stream"
)

// Module is the family: the directives that the stream kit itself uses, and its variables.
var Module = stream.Module{
	Module: conf.Module{
		Name:  "core",
		Doc:   "TCP and UDP servers: listening addresses and logging.",
		New:   conf.NewOf[stream.Settings],
		Clone: conf.CloneOf[stream.Settings],
		Directives: []conf.Directive{
			{Name: "stream", In: conf.Main, Opens: conf.Stream, Doc: "Contains the TCP and UDP servers."},
			{Name: "server", In: conf.Stream, Opens: conf.StreamServer, Repeat: true, Doc: "Configures one server."},
			{
				Name: "listen", In: conf.StreamServer, Repeat: true, OneMore: true, Params: listenParams,
				Syntax: "<address> [default_server] [ssl] [udp] [proxy_protocol] [bind] [backlog=<number>] " +
					"[ipv6only=on|off] [so_keepalive=<parameters>] [rcvbuf=<size>] [sndbuf=<size>] [deferred] " +
					"[fastopen=<number>] [reuseport] [multipath] [accept_filter=<filter>]",
				Unsupported: []string{"setfib="},
				Doc: "Sets the address and port, or the unix socket path, on which the server accepts connections " +
					"or, with `udp`, datagrams. Among several servers of an address, `server_name` selects one; the " +
					"default is the one with `default_server`, otherwise the first. With a wildcard address, all " +
					"nodes of a cluster can share one file.",
				Set: conf.Raw(func(s *stream.Settings, a *conf.Args) error { return s.Listens.Set(a, 0) }),
			},
			{
				Name: "server_name", Syntax: "<name>...", In: conf.StreamServer, Repeat: true,
				Doc: "Sets the server names, which are matched with the client's SNI: exact, `*.example.com`, " +
					"`www.example.*`, `.example.com`, or `~` and a regular expression.",
				Set: side.SetNames(&stream.Side, func(s *stream.Settings) *side.Names[*stream.Session] {
					return &s.Names
				}),
			},
			{
				Name: "preread_buffer_size", Syntax: "<size>", Default: "16k", In: conf.Stream | conf.StreamServer,
				Doc: "Sets the size of the preread buffer.",
				Set: conf.Field(
					func(s *stream.Settings) *int64 { return &s.PrereadBytes },
					conf.Between(conf.Size, 1, maxPrereadBytes),
				),
			},
			{
				Name: "preread_timeout", Syntax: "<time>", Default: "30s", In: conf.Stream | conf.StreamServer,
				Doc: "Sets the timeout for the preread phase.",
				Set: conf.Field(func(s *stream.Settings) *time.Duration { return &s.PrereadTimeout }, conf.Time),
			},
			{
				Name: "udp_sessions", Syntax: "<number>", Default: "65536", In: conf.Stream | conf.StreamServer,
				Doc: "Limits the sessions of a UDP socket; among several servers of an address, the largest value " +
					"applies. Datagrams of further clients are dropped with a rate-limited log entry. All UDP " +
					"sockets together use at most half of the file descriptors of the process " +
					"(`worker_rlimit_nofile`), so that UDP floods cannot block new connections. nginx uses " +
					"`worker_connections`.",
				Set: conf.Field(func(s *stream.Settings) *int { return &s.UDPSessions }, conf.Int(1, 1<<20)),
			},
			{
				Name: "status_zone", Syntax: "<zone>", In: conf.StreamServer,
				Doc: "Sets the zone that counts the server's sessions in the API at `/stream/server_zones`. Several " +
					"servers can share a zone.",
				Set: conf.Field(func(s *stream.Settings) *string { return &s.StatusZone }, side.StatusZoneName),
			},
			{
				Name: "proxy_protocol_timeout", Syntax: "<time>", Default: "30s", In: conf.Stream | conf.StreamServer,
				Doc: "Sets the timeout for reading the PROXY protocol header.",
				Set: conf.Field(func(s *stream.Settings) *time.Duration { return &s.ProxiedTimeout }, conf.Time),
			},
			{
				Name: "tcp_nodelay", Syntax: "on | off", Default: "on", In: conf.Stream | conf.StreamServer,
				Doc: "Enables TCP_NODELAY: small segments are sent immediately.",
				Set: conf.Field(func(s *stream.Settings) *bool { return &s.NoDelay }, conf.Flag),
			},
			{
				Name: "error_log", Syntax: plan.ErrorLogSyntax, In: conf.Stream | conf.StreamServer, Repeat: true,
				Doc: "Sets the error log of sessions and its minimum level." + plan.ErrorLogJSON,
				Set: conf.List(func(s *stream.Settings) *[]logs.Target { return &s.ErrorLogs }, plan.ErrorLogTarget),
			},
			{
				Name: "resolver", Syntax: plan.ResolverSyntax, Params: plan.ResolverParams,
				In: conf.Stream | conf.StreamServer, Unsupported: plan.ResolverUnsupported,
				Doc: "Sets the DNS servers for name resolution. Without valid=, responses are cached for their TTL.",
				Set: conf.Raw(func(s *stream.Settings, a *conf.Args) error { return s.Resolver.Set(a) }),
			},
			{
				Name: "resolver_timeout", Syntax: "<time>", Default: "30s", In: conf.Stream | conf.StreamServer,
				Doc: "Sets the timeout for name resolution.",
				Set: conf.Field(func(s *stream.Settings) *time.Duration { return &s.Resolver.Timeout }, conf.Time),
			},
		},
	},
	API: zoneResources,
	Variables: slices.Concat(
		coreVariables,
		side.ProxyVariables(proxied),
		side.CaptureVariables[*stream.Session](),
	),
}

// maxPrereadBytes bounds the memory of each new connection before anything is known about it.
const maxPrereadBytes = 1 << 20

// listenParams explains the parameters of listen.
var listenParams = side.ListenParams(map[string]string{
	"default_server": "Makes this server the default for the address.",
	"udp":            "Accepts datagrams instead of connections.",
})
