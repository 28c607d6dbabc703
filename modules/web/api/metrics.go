package api

import "starling/observe"

var (
	nginxMetrics = []observe.Metric{
		observe.Gauge("starling_build_info", "[version=version,build=build]", "Always 1; the labels tell the version of nginx that is followed and the build."),
		observe.Counter("starling_reloads_total", "generation", "Reloads that took effect since the process started.").Minus(1),
	}
	connectionMetrics = []observe.Metric{
		observe.Counter("nginxplus_connections_accepted", "accepted", "Client connections accepted, http and stream together."),
		observe.Counter("nginxplus_connections_dropped", "dropped", "Client connections that could not be accepted."),
		observe.Gauge("nginxplus_connections_active", "active", "Client connections that are being served."),
		observe.Gauge("nginxplus_connections_idle", "idle", "Client connections that wait for a request."),
	}
	requestMetrics = []observe.Metric{
		observe.Counter("nginxplus_http_requests_total", "total", "Requests begun."),
		observe.Gauge("nginxplus_http_requests_current", "current", "Requests in progress."),
	}
	tlsMetrics = []observe.Metric{
		observe.Counter("nginxplus_ssl_handshakes", "handshakes", "TLS handshakes with clients that succeeded."),
		observe.Counter("nginxplus_ssl_handshakes_failed", "handshakes_failed", "TLS handshakes with clients that failed."),
		observe.Counter("nginxplus_ssl_session_reuses", "session_reuses", "TLS handshakes that resumed a session."),
	}
	slabMetrics = []observe.Metric{
		observe.Gauge("starling_zone_used_bytes", "*zone.pages.used", "Memory in use of a zone.").By(pageBytes),
		observe.Gauge("starling_zone_free_bytes", "*zone.pages.free", "Memory that a zone has left.").By(pageBytes),
	}
)
