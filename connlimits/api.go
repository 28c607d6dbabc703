package connlimits

import (
	"net/http"

	"starling/lib/conncount"
	"starling/observe"
	"starling/plan"
)

// Resources is the side's limit_conns. It is there without zones too: clients ask for it.
func (s *Side[C]) Resources(p *plan.Plan) []observe.Resource {
	zones := map[string]*conncount.Counts{}
	for _, z := range plan.Part[registry[C]](p).zones {
		zones[z.Name] = &z.Value.(*Zone[C]).Counts
	}
	return []observe.Resource{{Path: s.Resource, Since: 6, Collection: true, Handle: func(call *observe.Call) observe.Answer {
		return answer(zones, call)
	}, Metrics: metrics(s.Resource)}}
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
