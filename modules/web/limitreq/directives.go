// Package limitreq is limit_req: a leaky bucket per key, on one node or on all nodes of the cluster together.
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
		Doc:   "Limits the rate of requests per key with a leaky bucket.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "limit_req_zone", Syntax: "<key> zone=<name>:<size> [rate=<rate>] [sync]", Params: zoneParams, OneMore: true, In: conf.HTTP, Repeat: true,
				Doc: "Declares a zone that keeps a bucket per key. The rate is in requests per second or minute (`10r/s`, `30r/m`). " +
					"With `sync` the buckets count the requests to all nodes of the cluster.",
				Set: declareZone,
			}, {
				Name: "limit_req", Syntax: "zone=<name> [burst=<number>] [nodelay|delay=<number>]", Params: limitParams, OneMore: true, In: places, Repeat: true,
				Doc: "Applies a zone. Requests beyond the rate wait, up to `burst` of them; those beyond are rejected. With `nodelay` " +
					"none waits, with `delay` only those beyond that number.",
				Set: conf.List(func(s *Settings) *[]Limit { return &s.Limits }, parseLimit),
			}, {
				Name: "limit_req_status", Syntax: "<code>", Default: "503", In: places,
				Doc: "The status of rejected requests.",
				Set: conf.Field(func(s *Settings) *int { return &s.Status }, conf.Int(400, 599)),
			}, {
				Name: "limit_req_log_level", Syntax: "info | notice | warn | error", Default: "error", In: places,
				Doc: "The level at which rejections are logged; delays are logged one level lower.",
				Set: conf.Field(func(s *Settings) *logs.Level { return &s.LogLevel }, conf.OneOf(logLevels)),
			}, {
				Name: "limit_req_dry_run", Syntax: "on | off", Default: "off", In: places,
				Doc: "Counts and logs, but neither delays nor rejects.",
				Set: conf.Field(func(s *Settings) *bool { return &s.DryRun }, conf.Flag),
			},
		},
	},
	Variables: []vars.Variable[*web.Request]{{
		Name:   "limit_req_status",
		Doc:    "What became of the request: `PASSED`, `DELAYED`, `REJECTED`, `DELAYED_DRY_RUN` or `REJECTED_DRY_RUN`.",
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
	"sync": "The nodes of the cluster add up their counts.",
}

// limitParams explains the parameters of limit_req.
var limitParams = map[string]string{
	"zone":    "The zone that keeps the counts.",
	"burst":   "Requests above the rate that are delayed rather than rejected; 0 if not given.",
	"nodelay": "Requests within `burst` are not delayed.",
	"delay":   "Requests above the rate that are not delayed; 0 if not given.",
}
