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

// strictMetrics are those of strict zones.
var strictMetrics = []admin.Metric{
	admin.Counter("starling_limit_request_strict_waited_total", "*zone.strict.waited",
		"Requests that waited until the owner of their key was asked."),
	admin.Counter("starling_limit_request_strict_no_lease_total", "*zone.strict.no_lease",
		"Requests rejected because the node does not reach the majority of the members."),
	admin.Gauge("starling_limit_request_strict_in_fallback", "*zone.strict.in_fallback",
		"Whether the node admits its share by itself (1), because it does not reach the majority of the members."),
	admin.Counter("starling_limit_request_strict_fallback_admitted_total", "*zone.strict.fallback_admitted",
		"Requests that the node admitted by its share, without the other members."),
	admin.Counter("starling_limit_request_strict_fallback_rejected_total", "*zone.strict.fallback_rejected",
		"Requests that the node rejected by its share, without the other members."),
	admin.Counter("starling_limit_request_strict_asks_total", "*zone.strict.asks",
		"Asks for a larger part of a bucket."),
	admin.Counter("starling_limit_request_strict_grants_total", "*zone.strict.grants",
		"Answers to asks for keys that the node owns."),
	admin.Counter("starling_limit_request_strict_recalls_total", "*zone.strict.recalls",
		"Requests to give a part of a bucket back."),
	admin.Counter("starling_limit_request_strict_returns_total", "*zone.strict.returns",
		"Parts of buckets given back to their owners."),
	admin.Gauge("starling_limit_request_strict_keys_held", "*zone.strict.keys_held",
		"Keys of which the node holds a part."),
	admin.Gauge("starling_limit_request_strict_keys_owned", "*zone.strict.keys_owned",
		"Keys whose buckets the node distributes."),
	admin.Gauge("starling_limit_request_strict_view", "*zone.strict.view",
		"Number of the agreed list of members that decide."),
}
