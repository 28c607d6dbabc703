// Package grpc is grpc_pass: it forwards requests to gRPC servers over HTTP/2, which web/forward/h2client speaks.
package grpc

import (
	"slices"

	"starling/conf"
	"starling/web"
	"starling/web/forward"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:       "grpc",
		Doc:        "Forwards requests to gRPC servers over HTTP/2.",
		New:        newSettings,
		Clone:      conf.CloneOf[Settings],
		Enter:      func(settings any, in conf.Context) { settings.(*Settings).Enter(in) },
		Directives: directives(),
	},
	Handlers: []web.Hook{{Phase: web.Content, Build: build}},
}

// family is the same for web/forward.
var family = forward.Family{
	Prefix: "grpc",
	Pass:   conf.Location | conf.LocationIf,
	Schemes: []forward.Scheme{{Text: "grpc://", Shown: "grpc://"}, {Text: "grpcs://", Shown: "grpcs://", TLS: true},
		{Shown: "grpc://"}},
	Next: map[string]forward.Condition{"error": forward.OnError, "timeout": forward.OnTimeout,
		"invalid_header": forward.OnInvalid, "non_idempotent": forward.NonIdempotent,
		"http_500": forward.On500, "http_502": forward.On502, "http_503": forward.On503, "http_504": forward.On504,
		"http_403": forward.On403, "http_404": forward.On404, "http_429": forward.On429},
	Has:  forward.Features{URL: true, Request: true, Streams: true, Response: true, TLS: true},
	ALPN: []string{"h2"},
}

// Settings of one block.
type Settings struct {
	forward.Settings
	headers []forward.SetHeader
}

func newSettings() any {
	s := &Settings{Settings: forward.NewSettings()}
	s.Stream()
	return s
}

func directives() []conf.Directive {
	all := forward.Directives(&family, func(s *Settings) *forward.Settings { return &s.Settings })
	return slices.Insert(all, 1,
		forward.SetHeaderDirective(&family, func(s *Settings) *[]forward.SetHeader { return &s.headers }))
}

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if s.Target == nil {
		return nil, nil
	}
	return forward.Build(b, &family, &s.Settings, newProtocol(s))
}
