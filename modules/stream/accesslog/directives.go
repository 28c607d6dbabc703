// Package accesslog is access_log for stream: a line for each session, in a configured format.
package accesslog

import (
	"starling/conf"
	"starling/modules/shared/accesslog"
	"starling/stream"
)

// options are the stream options of the family: there is no default format and no default log.
var options = &accesslog.Options[*stream.Session]{
	Side: &stream.Side,
	JSON: `{"time":"$time_iso8601","connection":$connection,"client":"$remote_addr","server":"$server_addr:$server_port",` +
		`"protocol":"$protocol","status":"$status","bytes_received":$bytes_received,"bytes_sent":$bytes_sent,` +
		`"session_time":$session_time,"upstream":"$upstream_addr"}`,
}

// Settings of one block.
type Settings = accesslog.Settings[*stream.Session]

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:       "log",
		Doc:        "Logs each session when it ends.",
		New:        conf.NewOf[Settings],
		Clone:      conf.CloneOf[Settings],
		Directives: options.Directives(conf.Stream | conf.StreamServer),
	},
	Handlers: []stream.Hook{{Phase: stream.Log, Build: build}},
}
