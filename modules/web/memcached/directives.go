// Package memcached is memcached_pass: it answers a request with the value of a key on memcached servers.
package memcached

import (
	"starling/conf"
	"starling/vars"
	"starling/web"
	"starling/web/forward"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name: "memcached",
		Doc: "Serves responses from memcached servers, using the key in $memcached_key, " +
			"which the configuration must set.",
		New:        func() any { return &Settings{Settings: forward.NewSettings()} },
		Clone:      conf.CloneOf[Settings],
		Enter:      func(settings any, in conf.Context) { settings.(*Settings).Enter(in) },
		Directives: directives(),
	},
	Handlers: []web.Hook{{Phase: web.Content, Build: build}},
}

// family is the same for web/forward.
var family = forward.Family{
	Prefix:  "memcached",
	Pass:    conf.Location | conf.LocationIf,
	Schemes: []forward.Scheme{{Shown: "memcached://"}},
	Next: map[string]forward.Condition{"error": forward.OnError, "timeout": forward.OnTimeout,
		"invalid_response": forward.OnInvalid,
		"not_found":        forward.On404},
	Has: forward.Features{RangesAlways: true},
}

// Settings of one block.
type Settings struct {
	forward.Settings
	gzipFlag int // of the values' flags: a value with this flag is compressed; 0: none is
}

func directives() []conf.Directive {
	return append(forward.Directives(&family,
		func(s *Settings) *forward.Settings { return &s.Settings }), conf.Directive{
		Name: "memcached_gzip_flag", Syntax: "<flag>", DefaultDoc: "0", In: conf.HTTP | conf.Server | conf.Location,
		Doc: "Adds `Content-Encoding: gzip` to values with any of these flag bits set.",
		Set: conf.Field(func(s *Settings) *int { return &s.gzipFlag }, conf.Number),
	})
}

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if s.Target == nil {
		return nil, nil
	}
	p := &protocol{gzipFlag: int64(s.gzipFlag)}
	pass, err := forward.Build(b, &family, &s.Settings, p)
	if pass == nil {
		return nil, err
	}
	if p.key, err = key(b); err != nil {
		return nil, err
	}
	return func(r *web.Request) web.Result {
		if !asks(r) {
			return 405
		}
		return pass(r)
	}, nil
}

// key finds the variable, which only the configuration itself declares.
func key(b *web.Block) (vars.Template[*web.Request], error) {
	return web.Side.Variables(b.Plan).Compile("$memcached_key", b.Scope.Node)
}
