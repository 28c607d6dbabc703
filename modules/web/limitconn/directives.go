// Package limitconn is limit_conn: how many requests with the same key are processed at once.
package limitconn

import (
	"starling/conf"
	"starling/observe"
	"starling/vars"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "limit_conn",
		Doc:   "Limits how many requests with the same key are processed at once. Connections without a request do not count.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "limit_conn_zone", Syntax: "<key> zone=<name>:<size>", In: conf.HTTP, Repeat: true,
				Doc: "Declares a zone that counts per key. It is never shared with other nodes.",
				Set: declareZone,
			}, {
				Name: "limit_conn", Syntax: "<zone> <number>", In: places, Repeat: true,
				Doc: "Applies a zone: at most that many requests per key at once.",
				Set: conf.List(func(s *Settings) *[]Limit { return &s.Limits }, parseLimit),
			}, {
				Name: "limit_conn_status", Syntax: "<code>", Default: "503", In: places,
				Doc: "The status of rejected requests.",
				Set: conf.Field(func(s *Settings) *int { return &s.Status }, conf.Int(400, 599)),
			}, {
				Name: "limit_conn_log_level", Syntax: "info | notice | warn | error", Default: "error", In: places,
				Doc: "The level at which rejections are logged.",
				Set: conf.Field(func(s *Settings) *observe.Level { return &s.LogLevel }, conf.OneOf(logLevels)),
			}, {
				Name: "limit_conn_dry_run", Syntax: "on | off", Default: "off", In: places,
				Doc: "Counts and logs, but does not reject.",
				Set: conf.Field(func(s *Settings) *bool { return &s.DryRun }, conf.Flag),
			},
		},
	},
	Variables: []vars.Variable[*web.Request]{{
		Name:   "limit_conn_status",
		Doc:    "What became of the request: `PASSED`, `REJECTED` or `REJECTED_DRY_RUN`.",
		Append: appendStatus,
	}},
	Handlers: []web.Hook{{Phase: web.PreAccess, Build: build}},
	Link:     link,
	API:      resources,
}

var logLevels = map[string]observe.Level{"info": observe.Info, "notice": observe.Notice, "warn": observe.Warn, "error": observe.Error}
