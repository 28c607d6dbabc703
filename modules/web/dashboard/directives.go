// Package dashboard serves a page that shows the cluster and this node through the API.
package dashboard

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/web"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "dashboard",
		Doc:   "Serves a page that shows the cluster, and this node, live.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Enter: func(settings any, _ conf.Context) { *settings.(*Settings) = Settings{} },
		Directives: []conf.Directive{{
			Name: "dashboard", Syntax: "[api=<path>]", In: conf.Location,
			Params: map[string]string{
				"api": "Path of the location with `api` on the same server; `/api` by default.",
			},
			Doc: "Enables the dashboard in this location. The page asks the API with the rights of the browser: it " +
				"can change pairs and servers where the API allows writes. NGINX Plus has no such directive.",
			Set: conf.Raw(setDashboard),
		}},
	},
	Handlers: []web.Hook{{Phase: web.Content, Build: build}},
	API:      resources,
}

// Settings of one location.
type Settings struct {
	on  bool
	api string // without slashes at its end
}

const defaultAPI = "/api"

func setDashboard(s *Settings, a *conf.Args) error {
	s.on, s.api = true, defaultAPI
	if !a.Has("api") {
		return nil
	}
	s.api = strings.TrimRight(a.Value("api"), "/")
	if !strings.HasPrefix(s.api, "/") || strings.HasPrefix(s.api, "//") || strings.ContainsAny(s.api, "?#\\") {
		return fmt.Errorf("invalid path \"%s\" of the API: write it as in its location, such as /api", a.Value("api"))
	}
	return nil
}
