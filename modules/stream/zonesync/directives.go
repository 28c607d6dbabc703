// Package zonesync is zone_sync: the server through which the nodes of a cluster share their zones.
package zonesync

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"starling/carrier"
	"starling/conf"
	"starling/plan"
	"starling/side"
	"starling/ssl"
	"starling/stream"
)

const places = conf.Stream | conf.StreamServer

// The bounds of zone_sync_buffers: a ring of one buffer cannot resume anything, and a frame must stay far below the
// limit of a peer.
const (
	minBuffers     = 2
	maxBuffers     = 1 << 16
	minBufferBytes = 1 << 10
	maxBufferBytes = 1 << 20
)

// Settings of one block.
type Settings struct {
	Enabled bool
	node    *conf.Node // of zone_sync
	Members []carrier.Member
	Cluster string

	Buffers, BufferBytes int
	ReceiveBytes         int64 // 0: the size of all buffers together
	ConnectTimeout       time.Duration
	RetryInterval        time.Duration
	Interval             time.Duration
	Timeout              time.Duration
	StrictState          string
	StrictLease          time.Duration
	TLS                  ssl.BoundClient
}

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:       "zone_sync",
		Doc:        "Synchronizes zones with `sync` between the nodes of a cluster.",
		New:        func() any { return &Settings{TLS: ssl.NewBoundClient()} },
		Clone:      conf.CloneOf[Settings],
		Directives: directives(),
	},
	Handlers: []stream.Hook{{Phase: stream.Content, Build: build}},
	Server:   serve,
	Link:     link,
	API:      resources,
}

// positiveTime is a time above zero: with a zero time a node never connects, or never stops trying.
var positiveTime = conf.AtLeast(conf.Time, time.Millisecond)

func directives() []conf.Directive {
	return append([]conf.Directive{
		{
			Name: "zone_sync", In: conf.StreamServer,
			Doc: "Enables synchronization through this server; a configuration can have only one. It covers all http " +
				"and stream zones with `sync`.",
			Set: conf.Raw(func(s *Settings, a *conf.Args) error {
				s.Enabled, s.node = true, a.Node
				plan.Part[state](side.PlanOf(a)).declared = true
				return nil
			}),
		},
		{
			Name: "zone_sync_server", Syntax: "<address> [resolve]", Params: serverParams, In: conf.StreamServer,
			Repeat: true,
			Doc: "Adds a cluster member: an address or domain name with a port, or unix:path. With resolve, the name " +
				"is re-resolved at run time and stands for all its addresses. All nodes can use the same list; a " +
				"node skips itself.",
			Set: conf.List(func(s *Settings) *[]carrier.Member { return &s.Members }, parseMember),
		},
		{
			Name: "zone_sync_cluster", Syntax: "<name>", In: places,
			Doc: "Sets the cluster name. Nodes of clusters with different names reject each other. Without it, any " +
				"node can join. NGINX has no such directive.",
			Set: conf.Field(func(s *Settings) *string { return &s.Cluster }, conf.String),
		},
		{
			Name: "zone_sync_buffers", Syntax: "<number> <size>", Default: "8 8k", In: places,
			Doc: "Sets the number and size of the buffers of each zone for updates that peers have not acknowledged. " +
				"A peer that falls further behind is repaired with the records that differ, or resynced completely " +
				"if too many differ. A record larger than a buffer is sent alone.",
			Set: conf.Raw(setBuffers),
		},
		{
			Name: "zone_sync_recv_buffer_size", Syntax: "<size>", DefaultDoc: "the total size of the buffers",
			In:  places,
			Doc: "Sets the size of the receive buffer of a connection, at least the size of one of zone_sync_buffers.",
			Set: conf.Field(func(s *Settings) *int64 { return &s.ReceiveBytes }, conf.Size),
		},
		{
			Name: "zone_sync_connect_retry_interval", Syntax: "<time>", Default: "1s", In: places,
			Doc: "Sets the interval between attempts to connect to a node.",
			Set: conf.Field(func(s *Settings) *time.Duration { return &s.RetryInterval }, positiveTime),
		},
		{
			Name: "zone_sync_connect_timeout", Syntax: "<time>", Default: "5s", In: places,
			Doc: "Sets the timeout for connecting to a node, including the exchange of hellos.",
			Set: conf.Field(func(s *Settings) *time.Duration { return &s.ConnectTimeout }, positiveTime),
		},
		{
			Name: "zone_sync_interval", Syntax: "<time>", Default: "1s", In: places,
			Doc: "Sets the maximum delay of an update. It is an upper bound, not a period: an idle node sends " +
				"updates immediately.",
			Set: conf.Field(func(s *Settings) *time.Duration { return &s.Interval }, conf.Time),
		},
		{
			Name: "zone_sync_timeout", Syntax: "<time>", Default: "5s", In: places,
			Doc: "Sets the timeout after which a silent connection is closed. Idle nodes send heartbeats, so only a " +
				"broken connection is silent. It is also how long a node keeps the connections of strict zones " +
				"(`limit_conn_zone … sync strict`) without contact to the majority of the nodes.",
			Set: conf.Field(func(s *Settings) *time.Duration { return &s.Timeout }, positiveTime),
		},
	}, append(strictDirectives(), tlsDirectives()...)...)
}

func tlsDirectives() []conf.Directive {
	own := []conf.Directive{
		{
			Name: "zone_sync_ssl", Syntax: "on | off", Default: "off", In: places,
			Doc: "Enables TLS for connections to other nodes.",
			Set: conf.Field(func(s *Settings) *bool { return &s.TLS.On }, conf.Flag),
		},
		{
			Name: "zone_sync_ssl_name", Syntax: "<name>",
			DefaultDoc: "the host of zone_sync_server; with resolve the address", In: places,
			Doc: "Sets the name to verify in the certificates of other nodes.",
			Set: conf.Field(func(s *Settings) *string { return &s.TLS.Name }, conf.String),
		},
	}
	tls := func(s *Settings) *ssl.BoundClient { return &s.TLS }
	return append(own, ssl.ClientDirectives("zone_sync_ssl", places, tls)...)
}

func setBuffers(s *Settings, a *conf.Args) error {
	number, err := conf.Int(minBuffers, maxBuffers)(a.Words[0])
	if err != nil {
		return fmt.Errorf("invalid number of buffers \"%s\": %v", a.Words[0], err)
	}
	size, err := conf.Size(a.Words[1])
	if err != nil || size < minBufferBytes || size > maxBufferBytes {
		return fmt.Errorf("invalid size of buffers \"%s\", it must be between 1k and 1m", a.Words[1])
	}
	s.Buffers, s.BufferBytes = number, int(size)
	return nil
}

func parseMember(a *conf.Args) (carrier.Member, error) {
	m := carrier.Member{Resolve: a.Has("resolve"), Line: fmt.Sprintf("%s:%d", a.Node.File, a.Node.Line)}
	address := a.Value("address")
	if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
		if path == "" || m.Resolve {
			return m, fmt.Errorf("invalid zone_sync_server \"%s\"", address)
		}
		m.Unix = path
		return m, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return m, fmt.Errorf("no port in zone_sync_server \"%s\"", address)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || n > math.MaxUint16 {
		return m, fmt.Errorf("invalid port in zone_sync_server \"%s\"", address)
	}
	m.Host, m.Port = canonicalHost(host), int(n)
	return m, nil
}

// canonicalHost writes a host in one way, because nodes with strict zones compare their lists as texts, and because a
// member that is written in two ways is one member.
func canonicalHost(host string) string {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().String()
	}
	return strings.ToLower(host)
}

// serverParams explains the parameters of zone_sync_server.
var serverParams = map[string]string{
	"resolve": "Re-resolves the name at run time; each of its addresses is a member.",
}
