// Package realip takes the client's address from the PROXY protocol, if the sender is trusted.
package realip

import (
	"strconv"

	"starling/conf"
	"starling/nginx/trusted"
	"starling/stream"
	"starling/vars"
)

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:  "realip",
		Doc:   "Replaces the client's address with the one that trusted proxies send in the PROXY protocol.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{{
			Name: "set_real_ip_from", Syntax: "<address>", In: conf.Stream | conf.StreamServer, Repeat: true,
			Doc: "Adds a trusted proxy: an address, a network, a host name (all its addresses), or `unix:` for all " +
				"unix sockets.",
			Set: conf.List(func(s *Settings) *[]trusted.Trust { return &s.From }, parseFrom),
		}},
	},
	Variables: []vars.Variable[*stream.Session]{
		{
			Name: "realip_remote_addr",
			Doc:  "The original address of the connection.",
			Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
				if !s.ConnectedFrom.IsValid() {
					return append(dst, "unix:"...), true
				}
				return s.ConnectedFrom.Addr().AppendTo(dst), true
			},
		},
		{
			Name: "realip_remote_port",
			Doc:  "The original port of the connection.",
			Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
				if port := s.ConnectedFrom.Port(); port > 0 {
					dst = strconv.AppendUint(dst, uint64(port), 10)
				}
				return dst, true
			},
		},
	},
	Handlers: []stream.Hook{{Phase: stream.PostAccept, Build: build}},
}

// Settings of one block.
type Settings struct{ From []trusted.Trust }

func parseFrom(a *conf.Args) (trusted.Trust, error) {
	t, lowBits, err := trusted.ParseTrust(a.Words[0])
	if lowBits {
		a.Warn("low address bits of %s are meaningless", a.Words[0])
	}
	return t, err
}

func build(b *stream.Block) (stream.Handler, error) {
	trusted := trusted.Of(conf.SettingsOf[Settings](b.Scope).From)
	if trusted == nil {
		return nil, nil
	}
	return func(s *stream.Session) stream.Result {
		if s.Proxied != nil && trusted.Trusts(s.ConnectedFrom.Addr()) {
			s.Remote = s.Proxied.Source
		}
		return stream.Declined
	}, nil
}
