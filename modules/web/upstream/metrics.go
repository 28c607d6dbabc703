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
	for _, class := range []string{"1xx", "2xx", "3xx", "4xx", "5xx"} {
		list = append(
			list,
			admin.Counter(server+"responses", upstream.Figure("responses."+class), "Responses of a server, by class.").
				Coded(class),
		)
	}
	return append(
		list,
		admin.Counter(
			server+"responses_codes",
			upstream.Figure("responses.codes.*code"),
			"Responses of a server, by code.",
		),
	)
}
