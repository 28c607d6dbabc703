// Package modules is THE LIST of all families of directives. The order of a list is the order inside a phase.
package modules

import (
	"starling/conf"
	"starling/modules/core"
	"starling/modules/stream/access"
	"starling/modules/stream/keyval"
	"starling/modules/stream/limitconn"
	"starling/modules/stream/returns"
	"starling/modules/stream/ssl"
	"starling/stream"
	"starling/web"
)

// Main are the families of the main level.
func Main() []*conf.Module { return []*conf.Module{&core.Module, core.Ignored()} }

// Web are the families of http.
func Web() []*web.Module {
	return []*web.Module{
		&web.Core,
	}
}

// Stream are the families of stream.
func Stream() []*stream.Module {
	return []*stream.Module{
		&stream.Core,
		&ssl.Module,
		&keyval.Module,
		&limitconn.Module,
		&access.Module,
		&returns.Module,
	}
}
