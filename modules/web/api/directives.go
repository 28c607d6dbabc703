// Package api is the API of NGINX Plus: what the server does, as JSON, and the changes it allows while it runs.
package api

import (
	"starling/admin"
	"starling/conf"
	"starling/plan"
	"starling/web"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "api",
		Doc:   "Shows what the server does, and changes zones and upstreams while it runs, in versions 1 to 9 of the API of NGINX Plus.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Enter: enter,
		Directives: []conf.Directive{{
			Name: "api", Syntax: "[write=on|off]", Params: apiParams, In: conf.Location,
			Doc: "Answers the requests of this location. Without `write=on` nothing can be changed. The location should be guarded, see the example.",
			Set: conf.Raw(setAPI),
		}, {
			Name: "api_allow_origin", Syntax: "<origin>...", In: conf.HTTP | conf.Server | conf.Location,
			Doc: "Names the origins (`https://admin.example.com`) whose pages may change what the API changes. Without it a write is answered with 403 when its `Origin` is not the `Host`, or when `Sec-Fetch-Site` says that it comes from another site. NGINX Plus has no such check.",
			Set: conf.Raw(setOrigins),
		}},
	},
	Handlers: []web.Hook{{Phase: web.Content, Build: build}},
	API:      func(p *plan.Plan) []admin.Resource { return ownResources(p) },
}

// apiParams explains the parameters of api.
var apiParams = map[string]string{
	"write": "Whether POST, PATCH and DELETE are allowed; off if not given.",
}
