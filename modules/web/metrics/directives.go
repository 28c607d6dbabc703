// Package metrics exports the API's figures to Prometheus.
package metrics

import (
	"starling/conf"
	"starling/web"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "metrics",
		Doc:   "Exports the figures of the API to Prometheus.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Enter: func(settings any, _ conf.Context) { settings.(*Settings).On = false },
		Directives: []conf.Directive{{
			Name: "metrics", In: conf.Location,
			Doc: "Enables the metrics page in this location. Restrict access as in the example.",
			Set: conf.Raw(func(s *Settings, _ *conf.Args) error { s.On = true; return nil }),
		}},
	},
	Handlers: []web.Hook{{Phase: web.Content, Build: build}},
}

// Settings of one location.
type Settings struct{ On bool }
