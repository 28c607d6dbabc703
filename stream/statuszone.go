package stream

import (
	"fmt"
	"maps"
	"sync/atomic"

	"starling/admin"
	"starling/conf"
	"starling/plan"
)

// statusZone counts the sessions of the servers that have it in common. A reload carries it over.
type statusZone struct {
	processing                 atomic.Int64
	connections, discarded     atomic.Uint64
	succeeded, refused, failed atomic.Uint64 // by status: 2xx, 4xx, 5xx
	received, sent             atomic.Uint64
}

// statusZones are those of one configuration by name.
type statusZones struct{ byName map[string]*statusZone }

// zoneNamed finds a status zone of a plan or of the one before it, or makes it.
func zoneNamed(p *plan.Plan, name string) *statusZone {
	zones := plan.Part[statusZones](p)
	z := zones.byName[name]
	if z == nil && p.Old != nil {
		z = plan.Part[statusZones](p.Old).byName[name]
	}
	if z == nil {
		z = new(statusZone)
	}
	if zones.byName == nil {
		zones.byName = map[string]*statusZone{}
	}
	zones.byName[name] = z
	return z
}

func setStatusZone(s *CoreSettings, a *conf.Args) error {
	if s.StatusZone = a.Words[0]; s.StatusZone == "" {
		return fmt.Errorf("status zone without a name")
	}
	return nil
}

// enter counts a session in the zone of its server, in place of the one before; either may be none.
func (s *Session) enter(z *statusZone) {
	if s.zone == z {
		return
	}
	if s.zone != nil {
		s.zone.processing.Add(-1)
		s.zone.connections.Add(^uint64(0))
	}
	if s.zone = z; z != nil {
		z.processing.Add(1)
		z.connections.Add(1)
	}
}

// leave counts the end of a session.
func (s *Session) leave() {
	z := s.zone
	if z == nil {
		return
	}
	z.processing.Add(-1)
	z.received.Add(uint64(s.BytesReceived()))
	z.sent.Add(uint64(s.BytesSent()))
	switch {
	case s.passed || s.Status == 0:
		z.discarded.Add(1)
	case s.Status < 300:
		z.succeeded.Add(1)
	case s.Status < 500:
		z.refused.Add(1)
	default:
		z.failed.Add(1)
	}
}

// zoneFigures are a zone as the API shows it.
type zoneFigures struct {
	Processing  int64           `json:"processing"`
	Connections uint64          `json:"connections"`
	Sessions    sessionsFigures `json:"sessions"`
	Discarded   uint64          `json:"discarded"`
	Received    uint64          `json:"received"`
	Sent        uint64          `json:"sent"`
}

type sessionsFigures struct {
	Succeeded uint64 `json:"2xx"`
	Refused   uint64 `json:"4xx"`
	Failed    uint64 `json:"5xx"`
	Total     uint64 `json:"total"`
}

func (z *statusZone) figures() zoneFigures {
	s := sessionsFigures{Succeeded: z.succeeded.Load(), Refused: z.refused.Load(), Failed: z.failed.Load()}
	s.Total = s.Succeeded + s.Refused + s.Failed
	return zoneFigures{Processing: max(z.processing.Load(), 0), Connections: z.connections.Load(), Sessions: s,
		Discarded: z.discarded.Load(), Received: z.received.Load(), Sent: z.sent.Load()}
}

func (z *statusZone) reset() {
	for _, c := range []*atomic.Uint64{&z.connections, &z.discarded, &z.succeeded, &z.refused, &z.failed, &z.received, &z.sent} {
		c.Store(0)
	}
}

// zoneResources is /stream/server_zones.
func zoneResources(p *plan.Plan) []admin.Resource {
	zones := plan.Part[statusZones](p)
	return []admin.Resource{admin.Collection[*statusZone]{
		Path: "stream/server_zones", Since: 1, Metrics: zoneMetrics(),
		Each:    func(yield func(string, *statusZone) bool) { maps.All(zones.byName)(yield) },
		Missing: admin.NotFound("ServerZoneNotFound", "server zone"),
		Show:    func(z *statusZone) any { return z.figures() },
		Delete:  admin.Resets((*statusZone).reset),
	}.Resource()}
}

// zoneMetrics are the zones as Prometheus is shown them.
func zoneMetrics() []admin.Metric {
	const prefix, at = "nginxplus_stream_server_zone_", "*server_zone."
	list := []admin.Metric{
		admin.Gauge(prefix+"processing", at+"processing", "Sessions in progress."),
		admin.Counter(prefix+"connections", at+"connections", "Accepted client connections."),
		admin.Counter(prefix+"discarded", at+"discarded", "Connections that ended without a session."),
		admin.Counter(prefix+"received", at+"received", "Bytes received from clients."),
		admin.Counter(prefix+"sent", at+"sent", "Bytes sent to clients."),
	}
	for _, class := range []string{"2xx", "4xx", "5xx"} {
		list = append(
			list,
			admin.Counter(prefix+"sessions", at+"sessions."+class, "Sessions that ended, by class of their status.").
				Coded(class),
		)
	}
	return list
}
