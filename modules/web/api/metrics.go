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
	slabMetrics = []admin.Metric{
		admin.Gauge("starling_zone_used_bytes", "*zone.pages.used", "Memory used by a zone.").By(pageBytes),
		admin.Gauge("starling_zone_free_bytes", "*zone.pages.free", "Free memory of a zone.").By(pageBytes),
	}
)

// tlsMetrics are the handshakes of the process.
func tlsMetrics() []admin.Metric {
	count := func(name, at, help string) admin.Metric {
		return admin.Counter("starling_tls_"+name+"_total", at, "TLS handshakes that failed "+help)
	}
	return append(
		admin.TLSMetrics("nginxplus_", "", "with clients and servers"),
		count("no_common_protocol", "no_common_protocol", "because no protocol version was common."),
		count("no_common_cipher", "no_common_cipher", "because no cipher was common."),
		count("handshake_timeout", "handshake_timeout", "because of a timeout."),
		count("peer_rejected_certificate", "peer_rejected_cert", "because the peer rejected the certificate."),
		admin.Counter("starling_tls_verify_failures_total", "verify_failures.*reason",
			"Certificates of clients and servers that did not verify, by reason."),
	)
}
