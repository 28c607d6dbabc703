package upstream

import (
	"strings"

	"starling/admin"
)

// states are the numbers of server states in NGINX Plus's exporter.
var states = map[string]float64{"up": 1, "draining": 2, "down": 3, "unavail": 4, "checking": 5, "unhealthy": 6}

// Metrics are the Prometheus metrics of the groups of both sides. prefix starts the names; count names what a server
// gets: requests or connections. Averages are in milliseconds, as in NGINX Plus's exporter.
func Metrics(prefix, count, countDoc string) []admin.Metric {
	server := func(name string) string { return prefix + "server_" + name }
	list := []admin.Metric{
		admin.Gauge(prefix+"zombies", "*upstream.zombies", "Removed servers that still serve clients."),
		admin.Gauge(server("state"), Figure("state"), "1 up, 2 draining, 3 down, 4 unavail, 5 checking, 6 unhealthy.").
			Of(states),
		admin.Gauge(server("active"), Figure("active"), "Active connections to a server."),
		admin.Gauge(server("limit"), Figure("max_conns"), "The max_conns of a server."),
		admin.Counter(server(count), Figure(count), countDoc),
		admin.Counter(server("sent"), Figure("sent"), "Bytes sent to a server."),
		admin.Counter(server("received"), Figure("received"), "Bytes received from a server."),
		admin.Counter(server("fails"), Figure("fails"), "Failed attempts on a server."),
		admin.Counter(
			server("unavail"),
			Figure("unavail"),
			"Number of times a server became unavailable because of max_fails.",
		),
		admin.Gauge(server("response_time"), Figure("response_time"), "Average time to the end of a response, in ms."),
	}
	for _, of := range []struct{ name, help string }{
		{"checks", "Health checks of a server."},
		{"fails", "Health checks of a server that failed."},
		{"unhealthy", "Number of times a server became unhealthy because of health checks."},
	} {
		at := Figure("health_checks." + of.name)
		list = append(list, admin.Counter(prefix+"server_health_checks_"+of.name, at, of.help))
	}
	own := strings.Replace(prefix, "nginxplus_", "starling_", 1) + "server_health_checks_"
	list = append(list,
		admin.Counter(own+"taken_total", Figure("health_checks.taken"),
			"Verdicts of other nodes that changed the health of a server on this one."),
		admin.Counter(own+"contradicted_total", Figure("health_checks.contradicted"),
			"Verdicts of other nodes on a server that this node doubted."),
	)
	return append(list, admin.TLSMetrics(prefix+"server_", Figure("ssl."), "with a server")...)
}

// Figure is the path of a server's figure in the answer of the API.
func Figure(name string) string { return "*upstream.peers.[server=server]." + name }
