// Package lookup makes variables of sessions whose values depend on other values: map, geo and split_clients.
package lookup

import (
	"starling/conf"
	"starling/modules/shared/lookup"
	"starling/stream"
)

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:       "lookup",
		Doc:        "Variables whose values depend on other values: by tables, addresses or a hash.",
		New:        conf.NewOf[struct{}],
		Clone:      conf.CloneOf[struct{}],
		Directives: lookup.Directives(&stream.Side, nil),
	},
}
