// Package log is access_log for stream: a line for each session, in a format of one's own.
package log

import (
	"starling/conf"
	"starling/observe"
	"starling/plan"
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
				Doc: "Writes to a file in a declared format, with a buffer if wanted, compressed with `gzip` (level 1, buffer 64k). A path with variables is opened for each line (but see `open_log_file_cache`). With `if` only sessions are written for which the condition is neither empty nor `0`. " +
					"`off` ends all logs of this level.",
				Set: conf.Raw(setAccessLog),
			}, {
				Name: "open_log_file_cache", Syntax: plan.FileCacheSyntax, In: conf.Stream | conf.StreamServer, DefaultDoc: "off",
				Doc: plan.FileCacheDoc,
				Set: conf.Whole(func(s *Settings) *observe.CacheOptions { return &s.Cache }, plan.FileCache),
			},
		},
	},
	Handlers: []stream.Hook{{Phase: stream.Log, Build: build}},
}
