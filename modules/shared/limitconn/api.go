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
	path, missing := s.Name+"/limit_conns", admin.NotFound("LimitConnNotFound", "limit_conn zone")
	zones := map[string]*conncount.Zone{}
	for _, z := range plan.Part[part[C]](p).zones {
		zones[z.Name] = z.Value.(*Zone[C]).Zone
	}
	return []admin.Resource{admin.Collection[*conncount.Zone]{
		Path: "starling/" + path, Since: 9, Each: maps.All(zones), Missing: missing,
		Show: func(z *conncount.Zone) any { return heldBy(z) },
	}.Resource(), admin.Collection[*conncount.Zone]{
		Path: path, Since: 6, Metrics: metrics(path), Each: maps.All(zones), Missing: missing,
		Show:   func(z *conncount.Zone) any { return z.Counts.Figures() },
		Delete: admin.Resets(func(z *conncount.Zone) { z.Counts.Reset() }),
	}.Resource()}
}

// shownKeys is how many keys of a zone the API names.
const shownKeys = 20

// held are the keys of a zone with the most connections.
type held struct {
	Keys []heldKey `json:"keys"` // the one with the most first
}

type heldKey struct {
	Key         string `json:"key"`
	Connections uint32 `json:"connections"`
}

func heldBy(z *conncount.Zone) held {
	out := held{Keys: []heldKey{}}
	for _, h := range z.Fullest(shownKeys) {
		out.Keys = append(out.Keys, heldKey{admin.KeyText(h.Key), h.Count})
	}
	return out
}

// Memory is the use of the zone, for /slabs.
func (z *Zone[C]) Memory() plan.Memory {
	m := z.Zone.Memory()
	return plan.Memory{UsedBytes: m.UsedBytes, Records: m.Keys, Refused: int64(m.Refused)}
}
