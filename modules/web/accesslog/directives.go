// Package accesslog is access_log: a line for each request, in a configured format.
package accesslog

import (
	"starling/conf"
	"starling/modules/shared/accesslog"
	"starling/plan"
	"starling/web"
)

const places = conf.HTTP | conf.Server | conf.Location | conf.LocationIf | conf.LimitExcept

// options are the http options of the family.
var options = &accesslog.Options[*web.Request]{
	Side:     &web.Side,
	Combined: `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`,
	JSON: `{"time":"$time_iso8601","connection":$connection,"client":"$remote_addr","server":"$server_name",` +
		`"request":"$request","status":"$status","host":"$http_host","referrer":"$http_referer",` +
		`"user_agent":"$http_user_agent","user":"$remote_user","request_id":"$request_id",` +
		`"request_length":$request_length,"body_bytes_sent":$body_bytes_sent,"request_time":$request_time,` +
		`"upstream":"$upstream_addr","upstream_status":"$upstream_status",` +
		`"upstream_response_time":"$upstream_response_time"}`,
	ByDefault: true,
	MayOpen:   rootExists,
	PathDoc:   ", and only if the request's document root exists",
}

// Settings of one block.
type Settings = accesslog.Settings[*web.Request]

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name: "log",
		Doc: "Logs each request. Without `access_log`, requests are logged to `" + plan.SystemPaths().AccessLog +
			"` (`" + plan.PrefixPaths().AccessLog + "` below a prefix given with `-p`) in the combined format.",
		New:        conf.NewOf[Settings],
		Clone:      conf.CloneOf[Settings],
		Directives: options.Directives(places),
	},
	Handlers: []web.Hook{{Phase: web.Log, Build: build}},
}
