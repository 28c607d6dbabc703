// Package log is access_log: a line for each request, in a format of one's own.
package log

import (
	"starling/accesslogs"
	"starling/conf"
	"starling/logs"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location | conf.LocationIf | conf.LimitExcept

// side is http's half of the family.
var side = &accesslogs.Side[*web.Request]{
	About:       "requests",
	Variables:   web.Variables,
	Combined:    `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`,
	DefaultPath: "logs/access.log",
	MayOpen:     rootExists,
	PathDoc:     ", and only if the request's document root exists",
	Logf:        func(r *web.Request, level logs.Level, format string, args ...any) { r.Logf(level, format, args...) },
}

// Settings of one block.
type Settings = accesslogs.Settings[*web.Request]

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:       "log",
		Doc:        "Writes a line for each request. Without any `access_log` it is `logs/access.log` in the combined format.",
		New:        conf.NewOf[Settings],
		Clone:      conf.CloneOf[Settings],
		Directives: side.Directives(conf.HTTP, places),
	},
	Handlers: []web.Hook{{Phase: web.Log, Build: build}},
}
