package side

import (
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"starling/conf"
	"starling/nginx/sockaddr"
	"starling/nginx/units"
)

// Listen is one address of a listen directive. In Hosts, it combines all directives of the address.
type Listen struct {
	Addr sockaddr.Addr
	// Options are those of the socket.
	Options sockaddr.Options
	// IsDefault means that the server gets the clients whose name matches no server of the address.
	IsDefault bool
	TLS       bool
	HTTP2     bool // whatever the server says
	UDP       bool
	// Proxied means that connections begin with a PROXY protocol header.
	Proxied   bool
	KeepAlive KeepAlive
	// Plain means that no parameter concerns the socket.
	Plain bool
	Node  *conf.Node
}

// PlainListen is a listen directive with only an address, or the default of a missing one.
func PlainListen(addr sockaddr.Addr, n *conf.Node) Listen {
	return Listen{Addr: addr, Options: sockaddr.Options{IPv6Only: true}, Plain: true, Node: n}
}

// NoCertificate is the problem of a default server that listens with ssl without a certificate.
func NoCertificate(server *conf.Node) *conf.Problem {
	return conf.At(server, "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive")
}

// Listens are those of one server.
type Listens []Listen

// Set parses one listen directive. The side's Syntax lists the parameters. defaultPort is used for an address without a
// port; 0 makes the port mandatory.
func (l *Listens) Set(a *conf.Args, defaultPort uint16) error {
	addrs, err := sockaddr.Parse(a.Words[0], defaultPort)
	if err != nil {
		return sockaddr.Problem(err)
	}
	one, err := parseListen(a)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		one.Addr = addr
		if slices.ContainsFunc(*l, func(other Listen) bool { return other.key() == one.key() }) {
			return fmt.Errorf("a duplicate listen %s", addr)
		}
		*l = append(*l, one)
	}
	return nil
}

// parseListen parses everything but the address.
func parseListen(a *conf.Args) (l Listen, err error) {
	if a.Has("http2") {
		a.Warn("the \"listen ... http2\" directive is deprecated, use the \"http2\" directive instead")
	}
	l = Listen{
		IsDefault: a.Has("default_server") || a.Has("default"),
		TLS:       a.Has("ssl"),
		HTTP2:     a.Has("http2"),
		UDP:       a.Has("udp"),
		Proxied:   a.Has("proxy_protocol"),
		Plain:     !slices.ContainsFunc(socketWords, a.Has),
		Node:      a.Node,
	}
	if a.Has("so_keepalive") {
		if l.KeepAlive, err = parseKeepAlive(a.Value("so_keepalive")); err != nil {
			return l, err
		}
	}
	if l.Options, err = socketOptions(a); err != nil {
		return l, err
	}
	for _, word := range connectionWords {
		if l.UDP && a.Has(word) {
			return l, conf.Verdict("\"" + word + "\" parameter is incompatible with \"udp\"")
		}
	}
	return l, nil
}

// socketWords are the parameters that can be given once for an address.
var socketWords = []string{
	"bind",
	"backlog",
	"ipv6only",
	"so_keepalive",
	"rcvbuf",
	"sndbuf",
	"deferred",
	"fastopen",
	"reuseport",
	"multipath",
}

// connectionWords are the parameters that are invalid for datagrams, in the order in which nginx rejects them.
var connectionWords = []string{
	"fastopen",
	"backlog",
	"deferred",
	"multipath",
	"ssl",
	"http2",
	"so_keepalive",
	"proxy_protocol",
}

// maxBacklog is more than any system allows.
const maxBacklog = 1 << 20

// socketOptions parses the parameters for the kernel. All but ipv6only and backlog give the address a socket of its
// own. In nginx these two do as well, but Linux does not allow both that socket and the wildcard's to listen.
func socketOptions(a *conf.Args) (o sockaddr.Options, err error) {
	o = sockaddr.Options{
		IPv6Only:  a.Value("ipv6only") != "off",
		Deferred:  a.Has("deferred"),
		ReusePort: a.Has("reuseport"),
		Multipath: a.Has("multipath"),
	}
	if a.Has("accept_filter") { // nginx logs this at emerg, and starts
		a.Warn("accept filters \"accept_filter=%s\" are not supported on this platform, ignored",
			a.Value("accept_filter"))
	}
	o.Bind = a.Has("bind") || a.Has("so_keepalive") || o.Deferred || o.ReusePort || o.Multipath
	if a.Has("backlog") {
		if o.Backlog, err = conf.Int(1, maxBacklog)(a.Value("backlog")); err != nil {
			return o, fmt.Errorf("invalid backlog \"backlog=%s\"", a.Value("backlog"))
		}
	}
	for _, number := range []struct {
		name  string
		parse func(string) (int, error)
		place *int
	}{
		{"rcvbuf", bufferBytes, &o.ReceiveBytes},
		{"sndbuf", bufferBytes, &o.SendBytes},
		{"fastopen", conf.Int(0, math.MaxInt32), &o.FastOpen},
	} {
		if !a.Has(number.name) {
			continue
		}
		if *number.place, err = number.parse(a.Value(number.name)); err != nil {
			return o, fmt.Errorf("invalid %s \"%[1]s=%s\"", number.name, a.Value(number.name))
		}
		o.Bind = true
	}
	return o, nil
}

// bufferBytes parses the size of a kernel buffer.
func bufferBytes(text string) (int, error) {
	n, err := conf.Between(conf.Size, 1, math.MaxInt32)(text)
	return int(n), err
}

// KeepAlive is so_keepalive: TCP's keepalive probes.
type KeepAlive struct {
	Set, Off       bool
	Idle, Interval time.Duration // 0: the system's
	Count          int           // likewise
}

// Apply sets it on a connection. Only TCP connections have probes.
func (k KeepAlive) Apply(conn net.Conn) error {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	return tcp.SetKeepAliveConfig(
		net.KeepAliveConfig{Enable: !k.Off, Idle: k.Idle, Interval: k.Interval, Count: k.Count},
	)
}

func parseKeepAlive(text string) (k KeepAlive, err error) {
	k.Set = true
	switch text {
	case "on":
		return k, nil
	case "off":
		k.Off = true
		return k, nil
	}
	invalid := fmt.Errorf("invalid so_keepalive value: \"%s\"", text)
	for i, field := range strings.SplitN(text, ":", 3) {
		if field == "" {
			continue
		}
		switch i {
		case 0:
			k.Idle, err = units.Seconds(field)
		case 1:
			k.Interval, err = units.Seconds(field)
		case 2:
			var n int64
			n, err = units.Number(field)
			k.Count = int(n)
		}
		if err != nil {
			return k, invalid
		}
	}
	if k.Idle == 0 && k.Interval == 0 && k.Count == 0 {
		return k, invalid
	}
	return k, nil
}

// ListenParams adds the explanations of the parameters that listen has on both sides to those of one.
func ListenParams(own map[string]string) map[string]string {
	all := map[string]string{
		"ssl":            "Requires TLS on connections.",
		"proxy_protocol": "Requires a PROXY protocol header at the start of connections.",
		"bind":           "Accepted for compatibility: each address always has its own socket.",
		"backlog":        "Size of the accept queue.",
		"ipv6only":       "Restricts a `[::]` socket to IPv6; on by default.",
		"so_keepalive":   "TCP keepalive probes: `on`, `off`, or `keepidle:keepintvl:keepcnt`, each part optional.",
		"rcvbuf":         "Receive buffer of the sockets (SO_RCVBUF).",
		"sndbuf":         "Send buffer of the sockets (SO_SNDBUF).",
		"deferred":       "The kernel reports a connection once data came (TCP_DEFER_ACCEPT).",
		"fastopen":       "TCP Fast Open, with that many connections pending at most.",
		"reuseport":      "Sets SO_REUSEPORT.",
		"multipath":      "Accepts Multipath TCP.",
		"accept_filter":  "Accepted with a warning, no effect: it is of FreeBSD and NetBSD.",
	}
	maps.Copy(all, own)
	return all
}
