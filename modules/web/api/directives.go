// Package api is the API of NGINX Plus: the state of the running server as JSON, and changes to it.
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
		Name: "api",
		Doc: "Reports the server's status and changes zones and upstreams at run time, in versions 1 to 9 of the " +
			"NGINX Plus API.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Enter: enter,
		Directives: []conf.Directive{{
			Name: "api", Syntax: "[write=on|off]", Params: apiParams, In: conf.Location,
			Doc: "Enables the API in this location. It is read-only without `write=on`. Restrict access to the " +
				"location as in the example.",
			Set: conf.Raw(setAPI),
		}, {
			Name: "api_allow_origin", Syntax: "<origin>...", In: conf.HTTP | conf.Server | conf.Location,
			Doc: "Sets additional origins (`https://admin.example.com`) whose pages can use the API: their preflight " +
				"requests are answered, responses have the CORS headers, and writes are allowed. Other writes get " +
				"403 if `Origin` does not match `Host` or `Sec-Fetch-Site` indicates another site. NGINX Plus has " +
				"neither.",
			Set: conf.Raw(setOrigins),
		}},
	},
	Handlers: []web.Hook{{Phase: web.PreAccess, Build: buildCORS}, {Phase: web.Content, Build: build}},
	API:      func(p *plan.Plan) []admin.Resource { return ownResources(p) },
}

// apiParams explains the parameters of api.
var apiParams = map[string]string{
	"write": "Allows POST, PATCH and DELETE; off by default.",
}
