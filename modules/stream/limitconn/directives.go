// Package limitconn is limit_conn for stream: it limits the concurrent connections with the same key.
package limitconn

import (
	"starling/admin"
	"starling/conf"
	"starling/modules/shared/limitconn"
	"starling/plan"
	"starling/stream"
	"starling/vars"
)

const places = conf.Stream | conf.StreamServer

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:  "limit_conn",
		Doc:   "Limits the number of concurrent connections for each key.",
		New:   conf.NewOf[limitconn.Settings],
		Clone: conf.CloneOf[limitconn.Settings],
		Directives: limitconn.Directives(
			&stream.Side,
			places,
			func(s *limitconn.Settings) *limitconn.Settings { return s },
		),
	},
	Variables: []vars.Variable[*stream.Session]{{
		Name:   "limit_conn_status",
		Doc:    "The result of the limit: `PASSED`, `REJECTED` or `REJECTED_DRY_RUN`.",
		Append: appendStatus,
	}},
	Handlers: []stream.Hook{{Phase: stream.PreAccess, Build: build}},
	Link:     func(p *plan.Plan) error { return limitconn.Link(&stream.Side, p) },
	API:      func(p *plan.Plan) []admin.Resource { return limitconn.Resources(&stream.Side, p) },
}
