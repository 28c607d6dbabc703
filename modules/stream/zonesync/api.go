package zonesync

import (
	"maps"

	"starling/admin"
	"starling/carrier"
	"starling/plan"
)

// documented is the shape of /stream/zone_sync in NGINX Plus; programs decode it strictly. The tests of its Go client
// want that a node that has nothing to tell has sent nothing, although it receives something: what is sent has no
// heartbeats.
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

// resources are /stream/zone_sync as documented and, below it, three additions to NGINX Plus: `cluster` shows all that
// the node knows of its peers and zones, `nodes` adds what the peers tell of theirs, `ready` tells a load balancer
// whether the node has synced with the others.
func resources(p *plan.Plan) []admin.Resource {
	mine := plan.Part[state](p)
	if mine.node == nil {
		return nil
	}
	parts := map[string]func(*carrier.Carrier) admin.Answer{
		"cluster": func(c *carrier.Carrier) admin.Answer { return admin.Answer{Body: c.Status()} },
		"nodes":   func(c *carrier.Carrier) admin.Answer { return admin.Answer{Body: c.Views()} },
		"ready":   func(c *carrier.Carrier) admin.Answer { return readiness(c.Status()) },
	}
	show := func(part func(*carrier.Carrier) admin.Answer) admin.Answer {
		c := mine.carrier.Load()
		if c == nil { // it has not started
			return admin.Answer{Err: admin.PathNotFound()}
		}
		return part(c)
	}
	return []admin.Resource{admin.Collection[func(*carrier.Carrier) admin.Answer]{
		Path: "stream/zone_sync", Since: 3, Metrics: metrics(), MetricsTail: []string{"cluster"},
		Each:    maps.All(parts),
		Missing: func(string) *admin.APIError { return admin.PathNotFound() },
		All: func(*admin.Call) admin.Answer {
			return show(func(c *carrier.Carrier) admin.Answer { return admin.Answer{Body: asDocumented(c.Status())} })
		},
		Get: func(part func(*carrier.Carrier) admin.Answer, _ *admin.Call) admin.Answer { return show(part) },
	}.Resource()}
}

func asDocumented(s carrier.Status) documented {
	d := documented{Zones: make(map[string]zoneRecords, len(s.Zones)), Status: nodeTraffic(s.Node)}
	d.Status.MsgsOut, d.Status.BytesOut = s.Updates.MsgsOut, s.Updates.BytesOut
	for name, z := range s.Zones {
		d.Zones[name] = zoneRecords{Pending: z.RecordsPending, Total: z.RecordsTotal}
	}
	return d
}

// readiness is 200 once the node was taught or found itself alone; until then it is 503 with the reason.
func readiness(s carrier.Status) admin.Answer {
	if !s.Ready {
		return admin.Fail(503, "NotReady", s.NotReady)
	}
	return admin.Answer{Body: struct {
		Ready   bool   `json:"ready"`
		Alone   bool   `json:"alone,omitempty"`
		Warning string `json:"warning,omitempty"`
	}{true, s.Alone, s.Warning}}
}
