// Package geoip2 makes variables of sessions from databases of addresses.
package geoip2

import (
	"starling/conf"
	"starling/modules/shared/geoip2"
	"starling/stream"
)

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:       "geoip2",
		Doc:        "Variables with values of databases of addresses, as ngx_stream_geoip2_module has them.",
		New:        conf.NewOf[struct{}],
		Clone:      conf.CloneOf[struct{}],
		Directives: []conf.Directive{geoip2.Directive(&stream.Side, (*stream.Session).Client)},
	},
}
