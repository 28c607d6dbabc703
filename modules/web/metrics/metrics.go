package metrics

import (
	"net/http"

	"starling/admin"
	"starling/conf"
	"starling/lib/exposition"
	"starling/logs"
	"starling/plan"
	"starling/web"
	"starling/web/h1"
)

func build(b *web.Block) (web.Handler, error) {
	if !conf.SettingsOf[Settings](b.Scope).On {
		return nil, nil
	}
	catalog := plan.Part[admin.Catalog](b.Plan)
	return func(r *web.Request) web.Result {
		if r.MethodID != h1.MethodGet && r.MethodID != h1.MethodHead {
			return http.StatusMethodNotAllowed
		}
		var page exposition.Page
		for i := range catalog.Resources { // complete only when the configuration runs
			if err := catalog.Resources[i].Expose(&page); err != nil {
				r.Logf(logs.Error, "%v", err)
				return http.StatusInternalServerError
			}
		}
		r.SetHeader([]byte("Cache-Control"), []byte("no-cache"))
		return r.Respond(http.StatusOK, exposition.ContentType, page.Append(nil))
	}, nil
}
