package connect

import (
	"time"

	"starling/conf"
	"starling/side"
	"starling/ssl"
)

// Directives are those for connections to servers, PREFIX_connect_timeout and others, and with tls PREFIX_ssl_…, except
// the one that enables TLS. place finds the Settings in those of a module.
func Directives[S any, C side.Subject](
	s *side.Side[C],
	prefix string,
	in conf.Context,
	tls bool,
	place func(*S) *Settings[C],
) []conf.Directive {
	all := []conf.Directive{
		{
			Name: prefix + "_connect_timeout", Syntax: "<time>", Default: "60s", In: in,
			Doc: "Sets the timeout for connecting to a server.",
			Set: conf.Field(func(m *S) *time.Duration { return &place(m).Timeout }, conf.Time),
		}, {
			Name: prefix + "_bind", Syntax: "<address> [transparent]", DefaultDoc: "off", In: in,
			Unsupported: []string{"transparent"},
			Doc:         "Sets the local address to connect from.",
			Set: conf.Whole(
				func(m *S) *Bind[C] { return &place(m).Bind },
				func(a *conf.Args) (Bind[C], error) { return readBind(s, a) },
			),
		}, {
			Name: prefix + "_socket_keepalive", Syntax: "on | off", Default: "off", In: in,
			Doc: "Enables TCP keepalive probes on connections to servers.",
			Set: conf.Field(func(m *S) *bool { return &place(m).Probe }, conf.Flag),
		},
	}
	if !tls {
		return all
	}
	all = append(all, conf.Directive{
		Name: prefix + "_ssl_name", Syntax: "<name>", In: in,
		Doc: "Sets the server name for verification and SNI; by default the host of " + prefix + "_pass.",
		Set: conf.Raw(func(m *S, a *conf.Args) error {
			t, err := s.Compile(a, a.Words[0])
			place(m).TLSName = &t
			return err
		}),
	}, conf.Directive{
		Name: prefix + "_ssl_session_reuse", Syntax: "on | off", Default: "on", In: in,
		Doc: "Enables resumption of TLS sessions with the servers.",
		Set: conf.Field(func(m *S) *bool { return &place(m).Reuse }, conf.Flag),
	})
	words := ssl.ClientDirectives(prefix+"_ssl", in, func(m *S) *ssl.BoundClient { return &place(m).TLS })
	return append(
		all,
		ssl.NameDirectives(
			prefix+"_ssl",
			in,
			words,
			s.Compile,
			func(m *S) *ssl.ClientNames[C] { return &place(m).TLSFiles },
		)...)
}
