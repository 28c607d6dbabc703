package core

import (
	"starling/admin"
	"starling/conf"
	"starling/lib/histogram"
	"starling/plan"
	"starling/side"
	"starling/ssl"
	"starling/web"
)

// setStatusZone sets the zone of a server, or of a location, which nested ones inherit.
func setStatusZone(s *web.Settings, a *conf.Args) error {
	text := a.Words[0]
	switch text {
	case "":
		return side.ErrNoZoneName
	case "off":
		text = ""
	}
	name, err := web.Side.Compile(a, text)
	if a.In == conf.Server {
		s.ServerZone = name
	} else {
		s.LocationZone = name
	}
	return err
}

// serverFigures are the zone of a server as the API shows it.
type serverFigures struct {
	Processing int64 `json:"processing"`
	web.ZoneFigures
	SSL ssl.HandshakeFigures `json:"ssl"`
	// Latency is Starling's own; NGINX Plus has it for the servers of upstreams.
	Latency histogram.Figures `json:"response_time_hist"`
}

// zoneResources are /http/server_zones and /http/location_zones.
func zoneResources(p *plan.Plan) []admin.Resource {
	servers := admin.Collection[*web.StatusZone]{
		Path: "http/server_zones", Since: 1,
		Metrics: serverMetrics(),
		Each:    web.ServerZones(p),
		Missing: admin.NotFound("ServerZoneNotFound", "server zone"),
		Show: func(z *web.StatusZone) any {
			return serverFigures{z.Processing(), z.Figures(), z.Handshakes(), z.Latency()}
		},
		Delete: admin.Resets((*web.StatusZone).Reset),
	}
	locations := admin.Collection[*web.StatusZone]{
		Path: "http/location_zones", Since: 5, Metrics: zoneMetrics("location_zone"),
		Each:    web.LocationZones(p),
		Missing: admin.NotFound("LocationZoneNotFound", "location zone"),
		Show:    func(z *web.StatusZone) any { return z.Figures() },
		Delete:  admin.Resets((*web.StatusZone).Reset),
	}
	return []admin.Resource{servers.Resource(), locations.Resource()}
}

// serverMetrics are those of the zones of servers.
func serverMetrics() []admin.Metric {
	const prefix, at = "nginxplus_server_zone_", "*server_zone."
	list := append(
		zoneMetrics("server_zone"),
		admin.Gauge(prefix+"processing", at+"processing", "Requests in progress."),
	)
	list = append(list, admin.Histogram(
		"starling_server_zone_response_seconds",
		at+"response_time_hist",
		"Time from the first byte of a request to the last of its response.",
	))
	return append(list, admin.TLSMetrics(prefix, at+"ssl.", "with clients")...)
}

// zoneMetrics are the zones of one kind as Prometheus is shown them; label is that of their name.
func zoneMetrics(label string) []admin.Metric {
	prefix, at := "nginxplus_"+label+"_", "*"+label+"."
	list := append(
		side.StatusZoneMetrics(prefix, at, "Requests that ended without a response."),
		admin.Counter(prefix+"requests", at+"requests", "Requests received."),
	)
	return append(list, admin.ResponseMetrics(prefix, at+"responses.", "Responses sent")...)
}
