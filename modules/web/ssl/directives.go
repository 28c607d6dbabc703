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
		Name:  "ssl",
		Doc:   "TLS for servers with `listen ... ssl`.",
		New:   func() any { return &Settings{ssl.NewBound[*web.Request]()} },
		Clone: conf.CloneOf[Settings],
		Directives: ssl.ServerDirectives(
			conf.HTTP|conf.Server,
			web.Side.Compile,
			func(s *Settings) *bound { return &s.Bound },
		),
	},
	Variables: variables(),
	Server:    serve,
}

// Settings of one block.
type Settings struct{ ssl.Bound[*web.Request] }

type bound = ssl.Bound[*web.Request]
