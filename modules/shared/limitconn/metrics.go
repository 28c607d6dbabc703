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
