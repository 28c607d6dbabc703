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
			Name: "limit_conn_zone", Params: zoneParams, OneMore: true, In: s.Block, Repeat: true,
			Syntax: "<key> zone=<name>:<size> [sync [strict] [strict_fallback=refuse|share]]",
			Doc: "Defines a zone of connection counts for each key. With `sync`, it counts the " + s.Many +
				" of all nodes of the cluster; with `strict`, too, these together are never more than the limit. A " +
				"node that loses contact to the majority of the nodes then ends those that it has.",
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

// zoneParams explains the parameters of limit_conn_zone.
var zoneParams = map[string]string{
	"zone": "Name and size of the zone.",
	"sync": "Shares the counts with the nodes of the cluster.",
	"strict": "Moves free places between the nodes, so that together they never exceed the limit. Requires `sync` " +
		"and `zone_sync_strict_state`.",
	"strict_fallback": "What a node does without contact to the majority: `refuse` (the default) rejects, and ends " +
		"what it has; `share` goes on with the limit divided by the number of nodes, which can exceed the limit.",
}
