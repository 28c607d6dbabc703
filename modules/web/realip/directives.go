// Package realip takes the client's address from a header or from the PROXY protocol, if the sender is trusted.
package realip

import (
	"strconv"
	"strings"

	"starling/conf"
	"starling/nginx/trusted"
	"starling/vars"
	"starling/web"
)

const contexts = conf.HTTP | conf.Server | conf.Location

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "realip",
		Doc:   "Replaces the client's address with the one that trusted proxies send.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "set_real_ip_from", Syntax: "<address>", In: contexts, Repeat: true,
				Doc: "Adds a trusted proxy: an address, a network, a host name (all its addresses), or `unix:` for " +
					"all unix sockets.",
				Set: conf.List(func(s *Settings) *[]trusted.Trust { return &s.From }, parseFrom),
			},
			{
				Name: "real_ip_header", Syntax: "<name>", Default: "X-Real-IP", In: contexts,
				Doc: "Sets the header with the client's address: X-Real-IP, X-Forwarded-For (its last address), " +
					"another header, or `proxy_protocol`.",
				Set: conf.Field(func(s *Settings) *source { return &s.Source }, parseSource),
			},
			{
				Name: "real_ip_recursive", Syntax: "on | off", Default: "off", In: contexts,
				Doc: "Uses the last address in the header that is not trusted.",
				Set: conf.Field(func(s *Settings) *bool { return &s.Recursive }, conf.Flag),
			},
		},
	},
	Variables: []vars.Variable[*web.Request]{
		{
			Name: "realip_remote_addr",
			Doc:  "The original address of the connection.",
			Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
				if !r.Conn.Remote.IsValid() {
					return append(dst, "unix:"...), true
				}
				return r.Conn.Remote.Addr().AppendTo(dst), true
			},
		},
		{
			Name: "realip_remote_port",
			Doc:  "The original port of the connection.",
			Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
				if port := r.Conn.Remote.Port(); port > 0 {
					dst = strconv.AppendUint(dst, uint64(port), 10)
				}
				return dst, true
			},
		},
	},
	// The server's settings apply when the request is read, those of the location if they differ; only once per
	// request.
	Handlers: []web.Hook{{Phase: web.PostRead, Build: build}, {Phase: web.PreAccess, Build: build}},
}

// Settings of one block.
type Settings struct {
	From      []trusted.Trust
	Source    source
	Recursive bool
}

// source is where the address comes from.
type source struct {
	name         string // of a header, in lower case; its first value counts
	forwardedFor bool   // X-Forwarded-For: all its values count
	proxy        bool   // the PROXY protocol
}

func parseSource(text string) (source, error) {
	name := strings.ToLower(text)
	return source{name: name, forwardedFor: name == "x-forwarded-for", proxy: name == "proxy_protocol"}, nil
}

func parseFrom(a *conf.Args) (trusted.Trust, error) {
	t, lowBits, err := trusted.ParseTrust(a.Words[0])
	if lowBits {
		a.Warn("low address bits of %s are meaningless", a.Words[0])
	}
	return t, err
}
