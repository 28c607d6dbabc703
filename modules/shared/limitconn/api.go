package limitconn

import (
	"maps"

	"starling/admin"
	"starling/plan"
	"starling/side"
)

// Resources is a side's limit_conns. It exists without zones too, because clients request it.
func Resources[C side.Subject](s *side.Side[C], p *plan.Plan) []admin.Resource {
	path, missing := s.Name+"/limit_conns", admin.NotFound("LimitConnNotFound", "limit_conn zone")
	zones := map[string]*Counter{}
	for _, z := range plan.Part[part[C]](p).zones {
		zones[z.Name] = z.Value.(*Zone[C]).Counter
	}
	return []admin.Resource{admin.Collection[*Counter]{
		Path: "starling/" + path, Since: 9, Metrics: strictMetrics(path), Each: maps.All(zones), Missing: missing,
		Show: func(z *Counter) any { return z.heldBy() },
	}.Resource(), admin.Collection[*Counter]{
		Path: path, Since: 6, Metrics: metrics(path), Each: maps.All(zones), Missing: missing,
		Show:   func(z *Counter) any { return z.Counts.Figures() },
		Delete: admin.Resets(func(z *Counter) { z.Counts.Reset() }),
	}.Resource()}
}

// shownKeys is how many keys of a zone the API names.
const shownKeys = 20

// held are the keys of a zone with the most connections.
type held struct {
	Keys   []heldKey   `json:"keys"` // the one with the most first
	Strict *strictZone `json:"strict,omitempty"`
}

type heldKey struct {
	Key         string `json:"key"`
	Connections uint32 `json:"connections"` // of all nodes that share the zone
	// Here are those of this node, if the zone is shared.
	Here *uint32 `json:"here,omitempty"`
}

func newHeldKey(key []byte, connections uint32, here *uint32) heldKey {
	return heldKey{admin.KeyText(key), connections, here}
}
