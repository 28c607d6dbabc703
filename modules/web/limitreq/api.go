package limitreq

import (
	"net/http"
	"sync/atomic"

	"starling/admin"
	"starling/plan"
)

// figures is a zone as the API shows it.
type figures struct {
	Passed         uint64 `json:"passed"`
	Delayed        uint64 `json:"delayed"`
	Rejected       uint64 `json:"rejected"`
	DelayedDryRun  uint64 `json:"delayed_dry_run"`
	RejectedDryRun uint64 `json:"rejected_dry_run"`
}

func (c *Counts) figures() figures {
	return figures{c.passed.Load(), c.delayed.Load(), c.rejected.Load(), c.delayedDryRun.Load(), c.rejectedDryRun.Load()}
}

func (c *Counts) reset() {
	for _, n := range []*atomic.Uint64{&c.passed, &c.delayed, &c.rejected, &c.delayedDryRun, &c.rejectedDryRun} {
		n.Store(0)
	}
}

// resources is /http/limit_reqs. It is there without zones too: clients ask for it.
func resources(p *plan.Plan) []admin.Resource {
	zones := map[string]*Counts{}
	for _, z := range plan.Part[registry](p).zones {
		zones[z.Name] = z.Value.(*Zone).counts
	}
	return []admin.Resource{{Path: "http/limit_reqs", Since: 6, Collection: true, Handle: func(call *admin.Call) admin.Answer {
		return answer(zones, call)
	}, Metrics: metrics}}
}

func answer(zones map[string]*Counts, call *admin.Call) admin.Answer {
	if len(call.Tail) == 0 && call.Method == http.MethodGet {
		all := map[string]figures{}
		for name, c := range zones {
			all[name] = c.figures()
		}
		return admin.Answer{Body: all}
	}
	if len(call.Tail) > 1 {
		return admin.Fail(http.StatusNotFound, "PathNotFound", "path not found")
	}
	if len(call.Tail) == 1 && zones[call.Tail[0]] == nil {
		return admin.Fail(http.StatusNotFound, "LimitReqNotFound", "limit_req zone \""+call.Tail[0]+"\" not found")
	}
	switch {
	case len(call.Tail) == 1 && call.Method == http.MethodGet:
		return admin.Answer{Body: zones[call.Tail[0]].figures()}
	case len(call.Tail) == 1 && call.Method == http.MethodDelete:
		zones[call.Tail[0]].reset()
		return admin.Answer{Status: http.StatusNoContent}
	}
	return admin.Fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "method not allowed")
}
