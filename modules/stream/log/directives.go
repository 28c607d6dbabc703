// Package log is access_log for stream: a line for each session, in a format of one's own.
package log

import (
	"starling/accesslogs"
	"starling/conf"
	"starling/logs"
	"starling/stream"
)

// side is stream's half of the family: there is no format and no log that were not declared.
var side = &accesslogs.Side[*stream.Session]{
	About:     "sessions",
	Variables: stream.Variables,
	Logf: func(s *stream.Session, level logs.Level, format string, args ...any) {
		s.Logf(level, format, args...)
	},
}

// Settings of one block.
type Settings = accesslogs.Settings[*stream.Session]

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:       "log",
		Doc:        "Writes a line for each session when it has ended.",
		New:        conf.NewOf[Settings],
		Clone:      conf.CloneOf[Settings],
		Directives: side.Directives(conf.Stream, conf.Stream|conf.StreamServer),
	},
	Handlers: []stream.Hook{{Phase: stream.Log, Build: build}},
}
