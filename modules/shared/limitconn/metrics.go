package limitconn

import (
	"strings"

	"starling/admin"
)

// metrics are the limits of one side as Prometheus metrics.
func metrics(resource string) []admin.Metric {
	prefix := "nginxplus_limit_connection_"
	if strings.HasPrefix(resource, "stream/") {
		prefix = "nginxplus_stream_limit_connection_"
	}
	return []admin.Metric{
		admin.Counter(prefix+"passed", "*zone.passed", "Connections passed by a limit."),
		admin.Counter(prefix+"rejected", "*zone.rejected", "Connections rejected by a limit."),
		admin.Counter(
			prefix+"rejected_dry_run",
			"*zone.rejected_dry_run",
			"Connections that a limit in dry-run mode would have rejected.",
		),
	}
}

// strictMetrics are those of strict zones.
func strictMetrics(resource string) []admin.Metric {
	prefix := "starling_limit_connection_strict_"
	if strings.HasPrefix(resource, "stream/") {
		prefix = "starling_stream_limit_connection_strict_"
	}
	return []admin.Metric{
		admin.Counter(prefix+"waited_total", "*zone.strict.waited",
			"Connections that waited until the owner of their key was asked."),
		admin.Counter(prefix+"no_lease_total", "*zone.strict.no_lease",
			"Connections rejected because the node does not reach the majority of the members."),
		admin.Counter(prefix+"ended_total", "*zone.strict.ended",
			"Connections that the node ended because it lost contact to the majority of the members."),
		admin.Gauge(prefix+"in_fallback", "*zone.strict.in_fallback",
			"Whether the node admits its share by itself (1), because it does not reach the majority of the members."),
		admin.Counter(prefix+"fallback_admitted_total", "*zone.strict.fallback_admitted",
			"Connections that the node admitted by its share, without the other members."),
		admin.Counter(prefix+"fallback_rejected_total", "*zone.strict.fallback_rejected",
			"Connections that the node rejected by its share, without the other members."),
		admin.Counter(prefix+"asks_total", "*zone.strict.asks", "Asks for more slots of a key."),
		admin.Counter(prefix+"grants_total", "*zone.strict.grants", "Answers to asks for keys that the node owns."),
		admin.Counter(prefix+"recalls_total", "*zone.strict.recalls", "Requests to give free slots back."),
		admin.Counter(prefix+"returns_total", "*zone.strict.returns", "Free slots given back to their owners."),
		admin.Gauge(prefix+"keys_held", "*zone.strict.keys_held", "Keys of which the node has slots."),
		admin.Gauge(prefix+"keys_owned", "*zone.strict.keys_owned", "Keys whose slots the node distributes."),
		admin.Gauge(prefix+"view", "*zone.strict.view", "Number of the agreed list of members that decide."),
	}
}
