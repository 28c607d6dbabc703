// Package limitreq is limit_req: a leaky bucket per key, on one node or shared by all nodes of the cluster.
package limitreq

import (
	"starling/conf"
	"starling/logs"
	"starling/vars"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "limit_req",
		Doc:   "Limits the request rate for each key with a leaky bucket.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "limit_req_zone", Params: zoneParams,
				Syntax:  "<key> zone=<name>:<size> [rate=<rate>] [sync [strict] [strict_fallback=refuse|share]]",
				OneMore: true, In: conf.HTTP, Repeat: true,
				Doc: "Defines a zone with a bucket for each key. The rate is in requests per second or minute " +
					"(`10r/s`, `30r/m`). With `sync`, the buckets count the requests of all nodes of the cluster; " +
					"with `strict`, too, all nodes together never admit more than one node would. A node without " +
					"contact to the majority of the nodes then rejects requests, or admits its share of the limit.",
				Set: declareZone,
			}, {
				Name: "limit_req", Syntax: "zone=<name> [burst=<number>] [nodelay|delay=<number>]", Params: limitParams,
				OneMore: true, In: places, Repeat: true,
				Doc: "Limits requests with a zone. Up to `burst` excess requests are delayed, further ones are " +
					"rejected. With `nodelay`, excess requests are not delayed; with `delay`, only those beyond that " +
					"number are.",
				Set: conf.List(func(s *Settings) *[]Limit { return &s.Limits }, parseLimit),
			}, {
				Name: "limit_req_status", Syntax: "<code>", Default: "503", In: places,
				Doc: "Sets the status of rejected requests.",
				Set: conf.Field(func(s *Settings) *int { return &s.Status }, conf.Bounds(400, 599)),
			}, {
				Name: "limit_req_log_level", Syntax: "info | notice | warn | error", Default: "error", In: places,
				Doc: "Sets the log level of rejections; delays are logged one level lower.",
				Set: conf.Field(func(s *Settings) *logs.Level { return &s.LogLevel }, conf.OneOf(logLevels)),
			}, {
				Name: "limit_req_dry_run", Syntax: "on | off", Default: "off", In: places,
				Doc: "Counts and logs excess requests without delaying or rejecting them.",
				Set: conf.Field(func(s *Settings) *bool { return &s.DryRun }, conf.Flag),
			},
		},
	},
	Variables: []vars.Variable[*web.Request]{{
		Name:   "limit_req_status",
		Doc:    "The result of the limit: `PASSED`, `DELAYED`, `REJECTED`, `DELAYED_DRY_RUN` or `REJECTED_DRY_RUN`.",
		Append: appendStatus,
	}},
	Handlers: []web.Hook{{Phase: web.PreAccess, Build: build}},
	Link:     link,
	API:      resources,
}

var logLevels = map[string]logs.Level{"info": logs.Info, "notice": logs.Notice, "warn": logs.Warn, "error": logs.Error}

// zoneParams explains the parameters of limit_req_zone.
var zoneParams = map[string]string{
	"zone": "Name and size of the zone.",
	"rate": "Requests per second or minute: `10r/s`, `30r/m`.",
	"sync": "Shares the counts with the nodes of the cluster.",
	"strict": "Moves parts of each bucket between the nodes, so that together they never exceed the limit. Requires " +
		"`sync` and `zone_sync_strict_state`.",
	"strict_fallback": "What a node does without contact to the majority: `refuse` (the default) rejects requests, " +
		"`share` admits the rate and the burst divided by the number of nodes, which can exceed the limit.",
}

// limitParams explains the parameters of limit_req.
var limitParams = map[string]string{
	"zone":    "Zone of the counts.",
	"burst":   "Maximum number of excess requests that are delayed instead of rejected; 0 by default.",
	"nodelay": "Disables the delay of requests within `burst`.",
	"delay":   "Number of excess requests that are not delayed; 0 by default.",
}
