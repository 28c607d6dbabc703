package stream

import (
	"slices"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/plan"
	"starling/side"
)

// CoreSettings are those of the core of the stream side.
type CoreSettings struct {
	Listens   side.Listens
	NoDelay   bool
	ErrorLogs []logs.Target
	Resolver  plan.ResolverSettings

	// StatusZone is where the API counts the sessions of the server; empty: nowhere.
	StatusZone string

	Names side.Names[*Session]
	// PrereadBytes bounds what is looked at before a server is chosen, PrereadTimeout how long that may take.
	PrereadBytes   int64
	PrereadTimeout time.Duration
	// UDPSessions bounds the sessions of a socket of datagrams.
	UDPSessions int
	// ProxiedTimeout is how long the header of the PROXY protocol may take.
	ProxiedTimeout time.Duration
}

// Core is the family of directives that the stream side itself obeys.
var Core = Module{
	Module: conf.Module{
		Name:  "core",
		Doc:   "Servers for TCP: where they listen and how they log.",
		New:   conf.NewOf[CoreSettings],
		Clone: conf.CloneOf[CoreSettings],
		Directives: []conf.Directive{
			{Name: "stream", In: conf.Main, Opens: conf.Stream, Doc: "Holds the servers for TCP."},
			{Name: "server", In: conf.Stream, Opens: conf.StreamServer, Repeat: true, Doc: "Configures one server."},
			{
				Name: "listen", In: conf.StreamServer, Repeat: true, OneMore: true, Params: listenParams,
				Syntax: "<address> [default_server] [ssl] [udp] [proxy_protocol] [bind] [backlog=<number>] [ipv6only=on|off]",
				Unsupported: []string{"setfib=", "fastopen=", "rcvbuf=", "sndbuf=", "accept_filter=", "deferred",
					"reuseport", "so_keepalive=", "multipath"},
				Doc: "Sets the address and port, or the path of a unix socket, on which the server accepts connections or, with `udp`, datagrams. " +
					"Of several servers of one address `server_name` chooses; the one with `default_server`, else the first, takes the others. A wildcard address lets all nodes of a cluster share one file.",
				Set: conf.Raw(func(s *CoreSettings, a *conf.Args) error { return s.Listens.Set(a, 0) }),
			},
			{
				Name: "server_name", Syntax: "<name>...", In: conf.StreamServer, Repeat: true,
				Doc: "Sets the names for which the server is chosen when a client sends one in its TLS handshake (SNI): exact, `*.example.com`, " +
					"`www.example.*`, `.example.com`, or `~` and a regular expression.",
				Set: side.SetNames(&Side, func(s *CoreSettings) *side.Names[*Session] { return &s.Names }),
			},
			{
				Name: "preread_buffer_size", Syntax: "<size>", Default: "16k", In: conf.Stream | conf.StreamServer,
				Doc: "Bounds what is looked at of a connection before a server is chosen.",
				Set: conf.Field(func(s *CoreSettings) *int64 { return &s.PrereadBytes }, conf.Between(conf.Size, 1, maxPrereadBytes)),
			},
			{
				Name: "preread_timeout", Syntax: "<time>", Default: "30s", In: conf.Stream | conf.StreamServer,
				Doc: "Sets how long looking at a connection before a server is chosen may take.",
				Set: conf.Field(func(s *CoreSettings) *time.Duration { return &s.PrereadTimeout }, conf.Time),
			},
			{
				Name: "udp_sessions", Syntax: "<number>", Default: "65536", In: conf.Stream | conf.StreamServer,
				Doc: "Bounds the sessions of a UDP socket; of several servers of one address the largest number counts. Datagrams of more " +
					"clients are dropped, and the log says so now and then. All UDP sockets together take at most half of the descriptors that the " +
					"process may open (`worker_rlimit_nofile`), so that connections are accepted whatever strangers send. nginx has `worker_connections`.",
				Set: conf.Field(func(s *CoreSettings) *int { return &s.UDPSessions }, conf.Int(1, 1<<20)),
			},
			{
				Name: "status_zone", Syntax: "<zone>", In: conf.StreamServer,
				Doc: "Counts the server's sessions where the API shows them, below `/stream/server_zones`. Servers may share a zone.",
				Set: conf.Raw(setStatusZone),
			},
			{
				Name: "proxy_protocol_timeout", Syntax: "<time>", Default: "30s", In: conf.Stream | conf.StreamServer,
				Doc: "Sets how long the header of the PROXY protocol may take.",
				Set: conf.Field(func(s *CoreSettings) *time.Duration { return &s.ProxiedTimeout }, conf.Time),
			},
			{
				Name: "tcp_nodelay", Syntax: "on | off", Default: "on", In: conf.Stream | conf.StreamServer,
				Doc: "Sends small pieces at once.",
				Set: conf.Field(func(s *CoreSettings) *bool { return &s.NoDelay }, conf.Flag),
			},
			{
				Name: "error_log", Syntax: plan.ErrorLogSyntax, In: conf.Stream | conf.StreamServer, Repeat: true,
				Doc: "Sets where errors of the sessions are logged, and from which level on.",
				Set: conf.List(func(s *CoreSettings) *[]logs.Target { return &s.ErrorLogs }, plan.ErrorLogTarget),
			},
			{
				Name: "resolver", Syntax: plan.ResolverSyntax, Params: plan.ResolverParams, In: conf.Stream | conf.StreamServer, Unsupported: plan.ResolverUnsupported,
				Doc: "Sets the DNS servers that names are asked of. Without valid= an answer holds for its TTL.",
				Set: conf.Raw(func(s *CoreSettings, a *conf.Args) error { return s.Resolver.Set(a) }),
			},
			{
				Name: "resolver_timeout", Syntax: "<time>", Default: "30s", In: conf.Stream | conf.StreamServer,
				Doc: "Sets how long a name may take to resolve.",
				Set: conf.Field(func(s *CoreSettings) *time.Duration { return &s.Resolver.Timeout }, conf.Time),
			},
		},
	},
	API:       zoneResources,
	Variables: slices.Concat(coreVariables, proxyVariables, side.CaptureVariables[*Session]()),
}

// maxPrereadBytes bounds the memory that each new connection may take before anything is known of it.
const maxPrereadBytes = 1 << 20

// listenParams explains the parameters of listen.
var listenParams = map[string]string{
	"default_server": "The server takes connections for names that no other server of the address has.",
	"ssl":            "Connections are encrypted.",
	"udp":            "Datagrams are accepted instead of connections.",
	"proxy_protocol": "Connections begin with a PROXY protocol header.",
	"bind":           "Accepted for compatibility: each address has a socket of its own.",
	"backlog":        "Connections that may wait to be accepted.",
	"ipv6only":       "Whether a socket of `[::]` accepts only IPv6; on if not given.",
}
