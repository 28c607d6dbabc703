// Package log is access_log: a line for each request, in a format of one's own.
package log

import (
	"starling/conf"
	"starling/observe"
	"starling/plan"
	"starling/web"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "log",
		Doc:   "Writes a line for each request. Without any `access_log` it is `logs/access.log` in the combined format.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "log_format", Syntax: "<name> [escape=<style>] <string>...", In: conf.HTTP, Repeat: true,
				Doc: "Declares a format of lines with variables. `escape` says what is done to bytes in values that could confuse a reader " +
					"of the log: `default` (`\\xHH`), `json` or `none`.",
				Set: declareFormat,
			}, {
				Name: "access_log", Syntax: "<path>|off [<format>] [buffer=<size>] [gzip[=<level>]] [flush=<time>] [if=<condition>]",
				OneMore: true,
				In:      conf.HTTP | conf.Server | conf.Location | conf.LocationIf | conf.LimitExcept,
				Repeat:  true, DefaultDoc: "logs/access.log combined",
				Doc: "Writes to a file, with a buffer if wanted, compressed with `gzip` (level 1, buffer 64k). A path with variables is opened for each line (but see `open_log_file_cache`), and only if the request's " +
					"document root exists. With `if` only requests are written for which the condition is neither empty nor `0`. " +
					"`off` ends all logs of this level.",
				Set: conf.Raw(setAccessLog),
			}, {
				Name: "open_log_file_cache", Syntax: plan.FileCacheSyntax, DefaultDoc: "off",
				In:  conf.HTTP | conf.Server | conf.Location,
				Doc: plan.FileCacheDoc,
				Set: conf.Whole(func(s *Settings) *observe.CacheOptions { return &s.Cache }, plan.FileCache),
			},
		},
	},
	Handlers: []web.Hook{{Phase: web.Log, Build: build}},
}
