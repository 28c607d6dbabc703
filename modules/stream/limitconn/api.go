package limitconn

import (
	"net/http"

	"starling/lib/conncount"
	"starling/observe"
	"starling/plan"
)

// resources is /stream/limit_conns.
func resources(p *plan.Plan) []observe.Resource {
	zones := map[string]*conncount.Counts{}
	for _, z := range plan.Part[registry](p).zones {
		zones[z.Name] = &z.Value.(*zone).Counts
	}
	return []observe.Resource{{Path: "stream/limit_conns", Since: 6, Collection: true, Handle: func(call *observe.Call) observe.Answer {
		return answer(zones, call)
	}}}
}

func answer(zones map[string]*conncount.Counts, call *observe.Call) observe.Answer {
	if len(call.Tail) == 0 && call.Method == http.MethodGet {
		all := map[string]conncount.Figures{}
		for name, c := range zones {
			all[name] = c.Figures()
		}
		return observe.Answer{Body: all}
	}
	if len(call.Tail) > 1 {
		return observe.Fail(http.StatusNotFound, "PathNotFound", "path not found")
	}
	if len(call.Tail) == 1 && zones[call.Tail[0]] == nil {
		return observe.Fail(http.StatusNotFound, "LimitConnNotFound", "limit_conn zone \""+call.Tail[0]+"\" not found")
	}
	switch {
	case len(call.Tail) == 1 && call.Method == http.MethodGet:
		return observe.Answer{Body: zones[call.Tail[0]].Figures()}
	case len(call.Tail) == 1 && call.Method == http.MethodDelete:
		zones[call.Tail[0]].Reset()
		return observe.Answer{Status: http.StatusNoContent}
	}
	return observe.Fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "method not allowed")
}
