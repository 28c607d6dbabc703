// Package limitconn is limit_conn: how many requests with the same key are processed at once.
package limitconn

import (
	"starling/conf"
	"starling/connlimits"
	"starling/vars"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location

// side is http's half of the family: what is counted are requests.
var side = &connlimits.Side[*web.Request]{Use: "limit_conn", Resource: "http/limit_conns", Counted: "requests",
	Plan: web.PlanOf, Compile: web.CompileTemplate, NewSlot: web.NewSlot}

// Settings of one block.
type Settings struct {
	connlimits.Settings
	Status int
}

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "limit_conn",
		Doc:   "Limits how many requests with the same key are processed at once. Connections without a request do not count.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: append(connlimits.Directives(side, conf.HTTP, places, func(s *Settings) *connlimits.Settings { return &s.Settings }),
			conf.Directive{
				Name: "limit_conn_status", Syntax: "<code>", Default: "503", In: places,
				Doc: "The status of rejected requests.",
				Set: conf.Field(func(s *Settings) *int { return &s.Status }, conf.Int(400, 599)),
			}),
	},
	Variables: []vars.Variable[*web.Request]{{
		Name:   "limit_conn_status",
		Doc:    "What became of the request: `PASSED`, `REJECTED` or `REJECTED_DRY_RUN`.",
		Append: appendStatus,
	}},
	Handlers: []web.Hook{{Phase: web.PreAccess, Build: build}},
	Link:     side.Link,
	API:      side.Resources,
}
