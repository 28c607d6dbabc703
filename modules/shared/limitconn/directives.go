package limitconn

import (
	"starling/conf"
	"starling/logs"
	"starling/side"
)

var logLevels = map[string]logs.Level{"info": logs.Info, "notice": logs.Notice, "warn": logs.Warn, "error": logs.Error}

// Directives are those of both sides, for settings S in which place finds the common part.
func Directives[S any, C side.Subject](
	s *side.Side[C],
	places conf.Context,
	place func(*S) *Settings,
) []conf.Directive {
	limits := func(settings *S) *[]Limit { return &place(settings).Limits }
	return []conf.Directive{
		{
			Name: "limit_conn_zone", Syntax: "<key> zone=<name>:<size> [sync]", Params: zoneParams, OneMore: true,
			Rejected: map[string]string{"strict": notStrict}, In: s.Block, Repeat: true,
			Doc: "Defines a zone of connection counts for each key. With `sync`, it counts the " + s.Many +
				" of all nodes of the cluster.",
			Set: func(_ any, a *conf.Args) error { return declare(s, a) },
		}, {
			Name: "limit_conn", Syntax: "<zone> <number>", In: places, Repeat: true,
			Doc: "Limits the number of concurrent " + s.Many + " for each key of the zone.",
			Set: conf.List(
				limits,
				func(a *conf.Args) (Limit, error) { return parse(s, a, *limits(conf.SettingsOf[S](a.Scope))) },
			),
		}, {
			Name: "limit_conn_log_level", Syntax: "info | notice | warn | error", Default: "error", In: places,
			Doc: "Sets the log level of rejections.",
			Set: conf.Field(func(settings *S) *logs.Level { return &place(settings).LogLevel }, conf.OneOf(logLevels)),
		}, {
			Name: "limit_conn_dry_run", Syntax: "on | off", Default: "off", In: places,
			Doc: "Counts and logs excess connections without rejecting them.",
			Set: conf.Field(func(settings *S) *bool { return &place(settings).DryRun }, conf.Flag),
		},
	}
}

// notStrict is why limit_conn_zone does not take the parameter of limit_req_zone.
const notStrict = "only limit_req_zone supports it; with \"sync\" alone, nodes together can exceed a limit by what " +
	"arrives before they know of it"

// zoneParams explains the parameters of limit_conn_zone.
var zoneParams = map[string]string{
	"zone": "Name and size of the zone.",
	"sync": "Shares the counts with the nodes of the cluster.",
}
