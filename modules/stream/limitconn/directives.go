// Package limitconn is limit_conn for stream: how many connections with the same key there are at once.
package limitconn

import (
	"starling/conf"
	"starling/connlimits"
	"starling/stream"
	"starling/vars"
)

const places = conf.Stream | conf.StreamServer

// side is stream's half of the family; http's zones of the same name are others.
var side = &connlimits.Side[*stream.Session]{Use: "stream limit_conn", Resource: "stream/limit_conns", Counted: "connections",
	Plan: stream.PlanOf, Compile: stream.CompileTemplate, NewSlot: stream.NewSlot}

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:       "limit_conn",
		Doc:        "Limits how many connections with the same key there are at once.",
		New:        conf.NewOf[connlimits.Settings],
		Clone:      conf.CloneOf[connlimits.Settings],
		Directives: connlimits.Directives(side, conf.Stream, places, func(s *connlimits.Settings) *connlimits.Settings { return s }),
	},
	Variables: []vars.Variable[*stream.Session]{{
		Name:   "limit_conn_status",
		Doc:    "What became of the connection: `PASSED`, `REJECTED` or `REJECTED_DRY_RUN`.",
		Append: appendStatus,
	}},
	Handlers: []stream.Hook{{Phase: stream.PreAccess, Build: build}},
	Link:     side.Link,
	API:      side.Resources,
}
