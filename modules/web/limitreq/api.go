package limitreq

import (
	"maps"
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
	return figures{
		c.passed.Load(),
		c.delayed.Load(),
		c.rejected.Load(),
		c.delayedDryRun.Load(),
		c.rejectedDryRun.Load(),
	}
}

func (c *Counts) reset() {
	for _, n := range []*atomic.Uint64{&c.passed, &c.delayed, &c.rejected, &c.delayedDryRun, &c.rejectedDryRun} {
		n.Store(0)
	}
}

// resources is /http/limit_reqs. It exists without zones too, because clients request it.
func resources(p *plan.Plan) []admin.Resource {
	zones := map[string]*Counts{}
	for _, z := range plan.Part[part](p).zones {
		zones[z.Name] = z.Value.(*Zone).counts
	}
	levels := admin.Collection[*Zone]{
		Path: "starling/http/limit_reqs", Since: 9, Metrics: strictMetrics,
		Each: func(yield func(string, *Zone) bool) {
			for _, z := range plan.Part[part](p).zones {
				if !yield(z.Name, z.Value.(*Zone)) {
					return
				}
			}
		},
		Missing: admin.NotFound("LimitReqNotFound", "limit_req zone"),
		Show:    func(z *Zone) any { return z.fullest(p.Clock.Now()) },
	}
	return []admin.Resource{levels.Resource(), admin.Collection[*Counts]{
		Path: "http/limit_reqs", Since: 6, Metrics: metrics,
		Each: maps.All(zones), Missing: admin.NotFound("LimitReqNotFound", "limit_req zone"),
		Show:   func(c *Counts) any { return c.figures() },
		Delete: admin.Resets((*Counts).reset),
	}.Resource()}
}
