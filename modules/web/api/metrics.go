package api

import "starling/admin"

var (
	nginxMetrics = []admin.Metric{
		admin.Gauge(
			"starling_build_info",
			"[version=version,build=build]",
			"Always 1; the labels contain the compatible nginx version and the build.",
		),
		admin.Counter("starling_reloads_total", "generation", "Reloads that took effect since the process started.").
			Minus(1),
	}
	connectionMetrics = []admin.Metric{
		admin.Counter(
			"nginxplus_connections_accepted",
			"accepted",
			"Client connections accepted, http and stream together.",
		),
		admin.Counter("nginxplus_connections_dropped", "dropped", "Client connections that could not be accepted."),
		admin.Gauge("nginxplus_connections_active", "active", "Client connections with a request in flight."),
		admin.Gauge("nginxplus_connections_idle", "idle", "Idle client connections."),
	}
	requestMetrics = []admin.Metric{
		admin.Counter("nginxplus_http_requests_total", "total", "Requests received."),
		admin.Gauge("nginxplus_http_requests_current", "current", "Requests in flight."),
	}
	tlsMetrics = []admin.Metric{
		admin.Counter("nginxplus_ssl_handshakes", "handshakes", "TLS handshakes with clients that succeeded."),
		admin.Counter(
			"nginxplus_ssl_handshakes_failed",
			"handshakes_failed",
			"TLS handshakes with clients that failed.",
		),
		admin.Counter("nginxplus_ssl_session_reuses", "session_reuses", "TLS handshakes that resumed a session."),
	}
	slabMetrics = []admin.Metric{
		admin.Gauge("starling_zone_used_bytes", "*zone.pages.used", "Memory used by a zone.").By(pageBytes),
		admin.Gauge("starling_zone_free_bytes", "*zone.pages.free", "Free memory of a zone.").By(pageBytes),
	}
)
