package core

import (
	"starling/admin"
	"starling/lib/histogram"
	"starling/plan"
	"starling/side"
	"starling/ssl"
	"starling/stream"
)

// figures are a zone as the API shows it.
type figures struct {
	stream.ZoneFigures
	SSL ssl.HandshakeFigures `json:"ssl"`
	// Latency is Starling's own.
	Latency histogram.Figures `json:"session_time_hist"`
}

// zoneResources is /stream/server_zones.
func zoneResources(p *plan.Plan) []admin.Resource {
	return []admin.Resource{admin.Collection[*stream.StatusZone]{
		Path: "stream/server_zones", Since: 1, Metrics: zoneMetrics(),
		Each:    stream.StatusZones(p),
		Missing: admin.NotFound("ServerZoneNotFound", "server zone"),
		Show:    func(z *stream.StatusZone) any { return figures{z.Figures(), z.Handshakes(), z.Latency()} },
		Delete:  admin.Resets((*stream.StatusZone).Reset),
	}.Resource()}
}

// zoneMetrics are the zones as Prometheus metrics.
func zoneMetrics() []admin.Metric {
	const prefix, at = "nginxplus_stream_server_zone_", "*server_zone."
	list := append(
		side.StatusZoneMetrics(prefix, at, "Connections that ended without a session."),
		admin.Gauge(prefix+"processing", at+"processing", "Sessions in progress."),
		admin.Counter(prefix+"connections", at+"connections", "Accepted client connections."),
	)
	list = append(list, admin.Histogram(
		"starling_stream_server_zone_session_seconds",
		at+"session_time_hist",
		"Time of a session, from the connection of the client to its end.",
	))
	list = append(list, admin.TLSMetrics(prefix, at+"ssl.", "with clients")...)
	for _, class := range []string{"2xx", "4xx", "5xx"} {
		list = append(
			list,
			admin.Counter(prefix+"sessions", at+"sessions."+class, "Sessions that ended, by class of their status.").
				Coded(class),
		)
	}
	return list
}
