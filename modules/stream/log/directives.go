// Package log is access_log for stream: a line for each session, in a format of one's own.
package log

import (
	"starling/conf"
	"starling/stream"
)

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:  "log",
		Doc:   "Writes a line for each session when it has ended.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "log_format", Syntax: "<name> [escape=default|json|none] <string>...", In: conf.Stream, Repeat: true,
				Doc: "Declares a format of lines with variables. `escape` says what is done to bytes in values that could confuse a reader of the log.",
				Set: declareFormat,
			}, {
				Name: "access_log", Syntax: "<path>|off [<format>] [buffer=<size>] [gzip[=<level>]] [flush=<time>] [if=<condition>]",
				OneMore: true,
				In:      conf.Stream | conf.StreamServer, Repeat: true, DefaultDoc: "off",
				Doc: "Writes to a file in a declared format, with a buffer if wanted. With `if` only sessions are written for which the condition is neither empty nor `0`. " +
					"`off` ends all logs of this level.",
				Set: conf.Raw(setAccessLog),
			},
		},
	},
	Handlers: []stream.Hook{{Phase: stream.Log, Build: build}},
}
