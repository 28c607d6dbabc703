// Package ssl is TLS of http servers: listen … ssl.
package ssl

import (
	"starling/conf"
	"starling/ssl"
	"starling/web"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:       "ssl",
		Doc:        "TLS for servers with `listen ... ssl`.",
		New:        func() any { return &Settings{Bound: ssl.NewBound[*web.Request]()} },
		Clone:      conf.CloneOf[Settings],
		Directives: directives(),
	},
	Variables: variables(),
	Server:    serve,
}

// Settings of one block.
type Settings struct {
	ssl.Bound[*web.Request]
	on bool // ssl
}

type bound = ssl.Bound[*web.Request]

const places = conf.HTTP | conf.Server

func directives() []conf.Directive {
	list := ssl.ServerDirectives(places, web.Side.Compile, func(s *Settings) *bound { return &s.Bound })
	return append(list,
		conf.Directive{
			Name: "ssl", Syntax: "on | off", Default: "off", In: places,
			Doc: "Makes all addresses whose default server has it on use TLS. nginx has removed it in 1.25.1; use " +
				"`listen ... ssl`.",
			Set: conf.Raw(func(s *Settings, a *conf.Args) (err error) {
				if a.Node.File != "" { // the default is nobody's directive
					a.Warn("the \"ssl\" directive is deprecated, use the \"listen ... ssl\" directive instead")
				}
				s.on, err = conf.Flag(a.Words[0])
				return err
			}),
		},
		conf.Directive{
			Name: "ssl_early_data", Syntax: "on | off", Default: "off", In: places,
			Doc: "Accepted for compatibility, no effect: " + noEarlyData + ".",
			Set: conf.Raw(func(_ *Settings, a *conf.Args) error {
				on, err := conf.Flag(a.Words[0])
				if on {
					a.Ignore(noEarlyData)
				}
				return err
			}),
		},
	)
}

// noEarlyData completes "no effect: ".
const noEarlyData = "the server accepts no early data; clients send it again after the handshake"
