package core

import (
	"starling/conf"
	"starling/web"
)

// http2 are the directives of nginx's http_v2 module.
var http2 = []conf.Directive{
	flag(
		"http2",
		"off",
		servers,
		"Speaks HTTP/2 with clients that ask for it by ALPN, or, without TLS, begin with its preface.",
		func(s *web.Settings) *bool { return &s.HTTP2 },
	),
	{
		Name: "http2_max_concurrent_streams", Syntax: "<number>", Default: "128", In: servers,
		Doc: "Sets the maximum number of concurrent streams of a connection.",
		Set: conf.Field(func(s *web.Settings) *int { return &s.HTTP2Streams }, conf.Int(1, 1<<16)),
	},
	{
		Name: "http2_body_preread_size", Syntax: "<size>", Default: "64k", In: servers,
		Doc: "Sets the size of the request body buffer before the body is read.",
		Set: http2Bytes(func(s *web.Settings) *int64 { return &s.HTTP2PrereadBytes }, 0, 1<<31-1),
	},
	{
		Name: "http2_chunk_size", Syntax: "<size>", Default: "8k", In: locations,
		Doc: "Sets the maximum size of response body frames.",
		Set: http2Bytes(func(s *web.Settings) *int64 { return &s.HTTP2ChunkBytes }, 1, 1<<24-1),
	},
	{
		Name: "http2_recv_buffer_size", Syntax: "<size>", Default: "16k", In: conf.HTTP,
		Doc: "Sets the size of the receive buffer. Each connection has one while it reads; nginx has one buffer of " +
			"256k for each worker.",
		Set: http2Bytes(func(s *web.Settings) *int64 { return &s.HTTP2ReadBytes }, 1<<10, 16<<20),
	},
	obsolete("http2_idle_timeout", "keepalive_timeout", servers),
	obsolete("http2_max_field_size", "large_client_header_buffers", servers),
	obsolete("http2_max_header_size", "large_client_header_buffers", servers),
	obsolete("http2_max_requests", "keepalive_requests", servers),
	obsolete("http2_recv_timeout", "client_header_timeout", servers),
}

// obsolete declares a directive for which nginx only prints a warning.
func obsolete(name, instead string, in conf.Context) conf.Directive {
	return conf.Directive{
		Name: name, Syntax: "<value>", In: in, Repeat: true, NoEffect: true,
		Doc: "Is obsolete: use " + instead + " instead.",
		Set: conf.Raw(func(_ *web.Settings, a *conf.Args) error {
			a.Warn("the \"%s\" directive is obsolete, use the \"%s\" directive instead", name, instead)
			return nil
		}),
	}
}

// http2Bytes makes a setter of a size within bounds.
func http2Bytes(place func(*web.Settings) *int64, least, most int64) conf.Setter {
	return conf.Field(place, conf.Between(conf.Size, least, most))
}
