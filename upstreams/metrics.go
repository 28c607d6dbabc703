package upstreams

import "starling/admin"

// states are the numbers that NGINX Plus's exporter gives to the states of a server.
var states = map[string]float64{"up": 1, "draining": 2, "down": 3, "unavail": 4, "checking": 5, "unhealthy": 6}

// metrics are the groups of one side as Prometheus is shown them. Averages are in milliseconds, as the exporter has them.
func (side Side) metrics() []admin.Metric {
	prefix, what, requests := "nginxplus_upstream_", "requests", "Requests sent to a server."
	if side.Name == Stream.Name {
		prefix, what, requests = "nginxplus_stream_upstream_", "connections", "Connections made to a server for clients."
	}
	server := func(name string) string { return prefix + "server_" + name }
	at := func(field string) string { return "*upstream.peers.[server=server]." + field }
	list := []admin.Metric{
		admin.Gauge(prefix+"zombies", "*upstream.zombies", "Servers that were removed and still serve clients."),
		admin.Gauge(server("state"), at("state"), "1 up, 2 draining, 3 down, 4 unavail.").Of(states),
		admin.Gauge(server("active"), at("active"), "Connections to a server in use."),
		admin.Gauge(server("limit"), at("max_conns"), "The max_conns of a server."),
		admin.Counter(server(what), at(what), requests),
		admin.Counter(server("sent"), at("sent"), "Bytes sent to a server."),
		admin.Counter(server("received"), at("received"), "Bytes received from a server."),
		admin.Counter(server("fails"), at("fails"), "Attempts at a server that failed."),
		admin.Counter(server("unavail"), at("unavail"), "How often a server became unavailable for max_fails."),
		admin.Gauge(server("response_time"), at("response_time"), "Average time to the end of an answer, in ms."),
	}
	if side.Name == Stream.Name {
		return append(list,
			admin.Gauge(server("connect_time"), at("connect_time"), "Average time to connect, in ms."),
			admin.Gauge(server("first_byte_time"), at("first_byte_time"), "Average time to the first byte, in ms."))
	}
	list = append(list, admin.Gauge(prefix+"keepalive", "*upstream.keepalive", "Idle connections that are kept."),
		admin.Gauge(server("header_time"), at("header_time"), "Average time to the head of an answer, in ms."))
	for _, class := range []string{"1xx", "2xx", "3xx", "4xx", "5xx"} {
		list = append(list, admin.Counter(server("responses"), at("responses."+class), "Answers of a server, by class.").Coded(class))
	}
	return append(list, admin.Counter(server("responses_codes"), at("responses.codes.*code"), "Answers of a server, by code."))
}
