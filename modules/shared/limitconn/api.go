package limitconn

import (
	"maps"

	"starling/admin"
	"starling/lib/conncount"
	"starling/plan"
	"starling/side"
)

// Resources is a side's limit_conns. It exists without zones too, because clients request it.
func Resources[C side.Subject](s *side.Side[C], p *plan.Plan) []admin.Resource {
	path, zones := s.Name+"/limit_conns", map[string]*conncount.Counts{}
	for _, z := range plan.Part[part[C]](p).zones {
		zones[z.Name] = &z.Value.(*Zone[C]).Counts
	}
	return []admin.Resource{admin.Collection[*conncount.Counts]{
		Path: path, Since: 6, Metrics: metrics(path),
		Each: maps.All(zones), Missing: admin.NotFound("LimitConnNotFound", "limit_conn zone"),
		Show:   func(c *conncount.Counts) any { return c.Figures() },
		Delete: admin.Resets((*conncount.Counts).Reset),
	}.Resource()}
}
