package limitreq

import "starling/admin"

var metrics = []admin.Metric{
	admin.Counter("nginxplus_limit_request_passed", "*zone.passed", "Requests that a limit let pass at once."),
	admin.Counter("nginxplus_limit_request_delayed", "*zone.delayed", "Requests that a limit delayed."),
	admin.Counter("nginxplus_limit_request_rejected", "*zone.rejected", "Requests that a limit rejected."),
	admin.Counter("nginxplus_limit_request_delayed_dry_run", "*zone.delayed_dry_run", "Requests that a limit would have delayed."),
	admin.Counter("nginxplus_limit_request_rejected_dry_run", "*zone.rejected_dry_run", "Requests that a limit would have rejected."),
}
