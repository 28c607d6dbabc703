package upstream

import (
	"starling/admin"
	"starling/modules/shared/upstream"
)

// metrics are those of both sides and those that only requests have.
func metrics() []admin.Metric {
	const prefix, server, queue = "nginxplus_upstream_", "nginxplus_upstream_server_", "starling_upstream_queue_"
	list := append(
		upstream.Metrics(prefix, "requests", "Requests sent to a server."),
		admin.Gauge(prefix+"keepalive", "*upstream.keepalive", "Idle keepalive connections."),
		admin.Gauge(queue+"requests", "*upstream.queue.size", "Requests that wait for a server."),
		admin.Gauge(queue+"limit", "*upstream.queue.max_size", "How many requests may wait for a server."),
		admin.Counter(queue+"overflows_total", "*upstream.queue.overflows",
			"Requests answered with 502 because too many others waited."),
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
