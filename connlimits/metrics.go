package connlimits

import (
	"strings"

	"starling/observe"
)

// metrics are the limits of one side as Prometheus is shown them.
func metrics(resource string) []observe.Metric {
	prefix := "nginxplus_limit_connection_"
	if strings.HasPrefix(resource, "stream/") {
		prefix = "nginxplus_stream_limit_connection_"
	}
	return []observe.Metric{
		observe.Counter(prefix+"passed", "*zone.passed", "Connections that a limit let pass."),
		observe.Counter(prefix+"rejected", "*zone.rejected", "Connections that a limit rejected."),
		observe.Counter(prefix+"rejected_dry_run", "*zone.rejected_dry_run", "Connections that a limit would have rejected."),
	}
}
