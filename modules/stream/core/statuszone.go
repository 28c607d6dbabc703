package core

import (
	"fmt"
	"sync/atomic"

	"starling/admin"
	"starling/conf"
	"starling/plan"
	"starling/stream"
)

func setStatusZone(s *stream.Settings, a *conf.Args) error {
	if s.StatusZone = a.Words[0]; s.StatusZone == "" {
		return fmt.Errorf("status zone without a name")
	}
	return nil
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

func figuresOf(z *stream.StatusZone) zoneFigures {
	s := sessionsFigures{Succeeded: z.Succeeded.Load(), Refused: z.Refused.Load(), Failed: z.Failed.Load()}
	s.Total = s.Succeeded + s.Refused + s.Failed
	return zoneFigures{Processing: max(z.Processing.Load(), 0), Connections: z.Connections.Load(), Sessions: s,
		Discarded: z.Discarded.Load(), Received: z.Received.Load(), Sent: z.Sent.Load()}
}

func resetZone(z *stream.StatusZone) {
	for _, c := range []*atomic.Uint64{
		&z.Connections, &z.Discarded, &z.Succeeded, &z.Refused, &z.Failed, &z.Received, &z.Sent,
	} {
		c.Store(0)
	}
}

// zoneResources is /stream/server_zones.
func zoneResources(p *plan.Plan) []admin.Resource {
	return []admin.Resource{admin.Collection[*stream.StatusZone]{
		Path: "stream/server_zones", Since: 1, Metrics: zoneMetrics(),
		Each:    stream.StatusZones(p),
		Missing: admin.NotFound("ServerZoneNotFound", "server zone"),
		Show:    func(z *stream.StatusZone) any { return figuresOf(z) },
		Delete:  admin.Resets(resetZone),
	}.Resource()}
}

// zoneMetrics are the zones as Prometheus metrics.
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
