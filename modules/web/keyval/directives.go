// Package keyval makes variables whose values come from zones of key-value pairs.
package keyval

import (
	"starling/admin"
	"starling/conf"
	"starling/modules/shared/keyval"
	"starling/plan"
	"starling/web"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:       "keyval",
		Doc:        "Variables with values from key-value zones, which the API changes at run time.",
		New:        conf.NewOf[struct{}],
		Clone:      conf.CloneOf[struct{}],
		Directives: keyval.Directives(&web.Side),
	},
	API: func(p *plan.Plan) []admin.Resource { return keyval.Resources(p, web.Side.Name) },
}
