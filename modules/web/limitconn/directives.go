// Package limitconn is limit_conn: it limits the concurrent requests with the same key.
package limitconn

import (
	"starling/admin"
	"starling/conf"
	"starling/modules/shared/limitconn"
	"starling/plan"
	"starling/vars"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location

// Settings of one block.
type Settings struct {
	limitconn.Settings
	Status int
}

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "limit_conn",
		Doc:   "Limits the number of concurrent requests for each key. Idle connections do not count.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: append(
			limitconn.Directives(&web.Side, places, func(s *Settings) *limitconn.Settings { return &s.Settings }),
			conf.Directive{
				Name: "limit_conn_status", Syntax: "<code>", Default: "503", In: places,
				Doc: "Sets the status of rejected requests.",
				Set: conf.Field(func(s *Settings) *int { return &s.Status }, conf.Bounds(400, 599)),
			},
		),
	},
	Variables: []vars.Variable[*web.Request]{{
		Name:   "limit_conn_status",
		Doc:    "The result of the limit: `PASSED`, `REJECTED` or `REJECTED_DRY_RUN`.",
		Append: appendStatus,
	}},
	Handlers: []web.Hook{{Phase: web.PreAccess, Build: build}},
	Link:     func(p *plan.Plan) error { return limitconn.Link(&web.Side, p) },
	API:      func(p *plan.Plan) []admin.Resource { return limitconn.Resources(&web.Side, p) },
}
