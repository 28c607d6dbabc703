// Package log is access_log: a line for each request, in a format of one's own.
package log

import (
	"starling/conf"
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
				Name: "log_format", Syntax: "<name> [escape=default|json|none] <string>...", In: conf.HTTP, Repeat: true,
				Doc: "Declares a format of lines with variables. `escape` says what is done to bytes in values that could confuse a reader of the log.",
				Set: declareFormat,
			}, {
				Name: "access_log", Syntax: "<path>|off [<format>] [buffer=<size>] [flush=<time>] [if=<condition>]",
				OneMore: true, Unsupported: []string{"gzip", "gzip="},
				In:     conf.HTTP | conf.Server | conf.Location | conf.LocationIf | conf.LimitExcept,
				Repeat: true, DefaultDoc: "logs/access.log combined",
				Doc: "Writes to a file, with a buffer if wanted. With `if` only requests are written for which the condition is neither empty nor `0`. " +
					"`off` ends all logs of this level.",
				Set: conf.Raw(setAccessLog),
			},
		},
	},
	Handlers: []web.Hook{{Phase: web.Log, Build: build}},
}
