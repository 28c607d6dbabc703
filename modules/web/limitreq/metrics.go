package limitreq

import "starling/observe"

var metrics = []observe.Metric{
	observe.Counter("nginxplus_limit_request_passed", "*zone.passed", "Requests that a limit let pass at once."),
	observe.Counter("nginxplus_limit_request_delayed", "*zone.delayed", "Requests that a limit delayed."),
	observe.Counter("nginxplus_limit_request_rejected", "*zone.rejected", "Requests that a limit rejected."),
	observe.Counter("nginxplus_limit_request_delayed_dry_run", "*zone.delayed_dry_run", "Requests that a limit would have delayed."),
	observe.Counter("nginxplus_limit_request_rejected_dry_run", "*zone.rejected_dry_run", "Requests that a limit would have rejected."),
}
