package upstream

import (
	"starling/admin"
	"starling/modules/shared/upstream"
)

// metrics are those of both sides and those that only requests have.
func metrics() []admin.Metric {
	const prefix, server = "nginxplus_upstream_", "nginxplus_upstream_server_"
	list := append(
		upstream.Metrics(prefix, "requests", "Requests sent to a server."),
		admin.Gauge(prefix+"keepalive", "*upstream.keepalive", "Idle keepalive connections."),
		admin.Gauge(
			server+"header_time",
			upstream.Figure("header_time"),
			"Average time to the response header, in ms.",
		),
	)
	list = append(list, admin.Histogram(
		"starling_upstream_server_response_seconds",
		upstream.Figure("response_time_hist"),
		"Time to the last byte of a server's response, from the connect on.",
	))
	return append(list, admin.ResponseMetrics(server, upstream.Figure("responses."), "Responses of a server")...)
}
