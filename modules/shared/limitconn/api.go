package limitconn

import (
	"net/http"

	"starling/admin"
	"starling/lib/conncount"
	"starling/plan"
	"starling/side"
)

// Resources is a side's limit_conns. It is there without zones too: clients ask for it.
func Resources[C side.Subject](s *side.Side[C], p *plan.Plan) []admin.Resource {
	path, zones := s.Name+"/limit_conns", map[string]*conncount.Counts{}
	for _, z := range plan.Part[registry[C]](p).zones {
		zones[z.Name] = &z.Value.(*Zone[C]).Counts
	}
	return []admin.Resource{{Path: path, Since: 6, Collection: true, Handle: func(call *admin.Call) admin.Answer {
		return answer(zones, call)
	}, Metrics: metrics(path)}}
}

func answer(zones map[string]*conncount.Counts, call *admin.Call) admin.Answer {
	if len(call.Tail) == 0 && call.Method == http.MethodGet {
		all := map[string]conncount.Figures{}
		for name, c := range zones {
			all[name] = c.Figures()
		}
		return admin.Answer{Body: all}
	}
	if len(call.Tail) > 1 {
		return admin.Fail(http.StatusNotFound, "PathNotFound", "path not found")
	}
	if len(call.Tail) == 1 && zones[call.Tail[0]] == nil {
		return admin.Fail(http.StatusNotFound, "LimitConnNotFound", "limit_conn zone \""+call.Tail[0]+"\" not found")
	}
	switch {
	case len(call.Tail) == 1 && call.Method == http.MethodGet:
		return admin.Answer{Body: zones[call.Tail[0]].Figures()}
	case len(call.Tail) == 1 && call.Method == http.MethodDelete:
		zones[call.Tail[0]].Reset()
		return admin.Answer{Status: http.StatusNoContent}
	}
	return admin.Fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "method not allowed")
}
