package zonesync

import (
	"slices"

	"starling/carrier"
	"starling/observe"
	"starling/plan"
)

// documented is the shape that NGINX Plus gives /stream/zone_sync; programs decode it strictly.
type documented struct {
	Zones  map[string]zoneRecords `json:"zones"`
	Status nodeTraffic            `json:"status"`
}

type zoneRecords struct {
	Pending int64 `json:"records_pending"`
	Total   int64 `json:"records_total"`
}

type nodeTraffic struct {
	BytesIn     int64 `json:"bytes_in"`
	MsgsIn      int64 `json:"msgs_in"`
	MsgsOut     int64 `json:"msgs_out"`
	BytesOut    int64 `json:"bytes_out"`
	NodesOnline int64 `json:"nodes_online"`
}

// resources are /stream/zone_sync as documented and, below it, what NGINX Plus lacks: `cluster` tells all that the node
// knows of its peers and zones, `ready` answers a load balancer whether the node has what the others have.
func resources(p *plan.Plan) []observe.Resource {
	mine := plan.Part[state](p)
	if mine.node == nil {
		return nil
	}
	return []observe.Resource{{Path: "stream/zone_sync", Since: 3, Handle: func(call *observe.Call) observe.Answer {
		c := mine.carrier.Load()
		switch {
		case c == nil:
			return observe.Fail(404, "PathNotFound", "path not found")
		case call.Method != "GET":
			return observe.Fail(405, "MethodNotAllowed", "method not allowed")
		case len(call.Tail) == 0:
			return observe.Answer{Body: asDocumented(c.Status())}
		case slices.Equal(call.Tail, []string{"cluster"}):
			return observe.Answer{Body: c.Status()}
		case slices.Equal(call.Tail, []string{"ready"}):
			return readiness(c.Status())
		}
		return observe.Fail(404, "PathNotFound", "path not found")
	}, Metrics: metrics(), MetricsTail: []string{"cluster"}}}
}

func asDocumented(s carrier.Status) documented {
	d := documented{Zones: make(map[string]zoneRecords, len(s.Zones)), Status: nodeTraffic(s.Node)}
	for name, z := range s.Zones {
		d.Zones[name] = zoneRecords{Pending: z.RecordsPending, Total: z.RecordsTotal}
	}
	return d
}

// readiness is 200 once the node was taught or found itself alone, 503 before.
func readiness(s carrier.Status) observe.Answer {
	if !s.Ready {
		return observe.Fail(503, "NotReady", "the node is still learning what the others have")
	}
	return observe.Answer{Body: map[string]bool{"ready": true}}
}
