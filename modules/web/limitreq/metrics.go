package limitreq

import "starling/admin"

var metrics = []admin.Metric{
	admin.Counter("nginxplus_limit_request_passed", "*zone.passed", "Requests passed by a limit without delay."),
	admin.Counter("nginxplus_limit_request_delayed", "*zone.delayed", "Requests delayed by a limit."),
	admin.Counter("nginxplus_limit_request_rejected", "*zone.rejected", "Requests rejected by a limit."),
	admin.Counter(
		"nginxplus_limit_request_delayed_dry_run",
		"*zone.delayed_dry_run",
		"Requests that a limit in dry-run mode would have delayed.",
	),
	admin.Counter(
		"nginxplus_limit_request_rejected_dry_run",
		"*zone.rejected_dry_run",
		"Requests that a limit in dry-run mode would have rejected.",
	),
}
