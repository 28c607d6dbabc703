package connlimits

import (
	"starling/conf"
	"starling/logs"
)

var logLevels = map[string]logs.Level{"info": logs.Info, "notice": logs.Notice, "warn": logs.Warn, "error": logs.Error}

// Directives are those of both sides, for settings S of which place finds the common part.
func Directives[S, C any](s *Side[C], zoneIn, places conf.Context, place func(*S) *Settings) []conf.Directive {
	limits := func(settings *S) *[]Limit { return &place(settings).Limits }
	return []conf.Directive{
		{
			Name: "limit_conn_zone", Syntax: "<key> zone=<name>:<size>", Params: zoneParams, In: zoneIn, Repeat: true,
			Doc: "Declares a zone that counts per key. It is never shared with other nodes.",
			Set: s.declare,
		}, {
			Name: "limit_conn", Syntax: "<zone> <number>", In: places, Repeat: true,
			Doc: "Applies a zone: at most that many " + s.Counted + " per key at once.",
			Set: conf.List(limits, func(a *conf.Args) (Limit, error) { return s.parse(a, *limits(conf.SettingsOf[S](a.Scope))) }),
		}, {
			Name: "limit_conn_log_level", Syntax: "info | notice | warn | error", Default: "error", In: places,
			Doc: "The level at which rejections are logged.",
			Set: conf.Field(func(settings *S) *logs.Level { return &place(settings).LogLevel }, conf.OneOf(logLevels)),
		}, {
			Name: "limit_conn_dry_run", Syntax: "on | off", Default: "off", In: places,
			Doc: "Counts and logs, but does not reject.",
			Set: conf.Field(func(settings *S) *bool { return &place(settings).DryRun }, conf.Flag),
		},
	}
}

// zoneParams explains the parameters of limit_conn_zone.
var zoneParams = map[string]string{
	"zone": "Name and size of the zone.",
}
