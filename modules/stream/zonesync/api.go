package zonesync

import (
	"slices"

	"starling/admin"
	"starling/carrier"
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
func resources(p *plan.Plan) []admin.Resource {
	mine := plan.Part[state](p)
	if mine.node == nil {
		return nil
	}
	return []admin.Resource{{Path: "stream/zone_sync", Since: 3, Handle: func(call *admin.Call) admin.Answer {
		c := mine.carrier.Load()
		switch {
		case c == nil:
			return admin.Fail(404, "PathNotFound", "path not found")
		case call.Method != "GET":
			return admin.Fail(405, "MethodNotAllowed", "method not allowed")
		case len(call.Tail) == 0:
			return admin.Answer{Body: asDocumented(c.Status())}
		case slices.Equal(call.Tail, []string{"cluster"}):
			return admin.Answer{Body: c.Status()}
		case slices.Equal(call.Tail, []string{"ready"}):
			return readiness(c.Status())
		}
		return admin.Fail(404, "PathNotFound", "path not found")
	}, Metrics: metrics(), MetricsTail: []string{"cluster"}}}
}

func asDocumented(s carrier.Status) documented {
	d := documented{Zones: make(map[string]zoneRecords, len(s.Zones)), Status: nodeTraffic(s.Node)}
	for name, z := range s.Zones {
		d.Zones[name] = zoneRecords{Pending: z.RecordsPending, Total: z.RecordsTotal}
	}
	return d
}

// readiness is 200 once the node was taught or found itself alone, and 503 with the reason else.
func readiness(s carrier.Status) admin.Answer {
	if !s.Ready {
		return admin.Fail(503, "NotReady", s.NotReady)
	}
	return admin.Answer{Body: struct {
		Ready bool `json:"ready"`
		Alone bool `json:"alone,omitempty"`
	}{true, s.Alone}}
}
